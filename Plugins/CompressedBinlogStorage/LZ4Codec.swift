// SPDX-License-Identifier: MIT

public import BinlogStorage
internal import CLZ4

/// LZ4 frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md) of linked blocks, flushed at the end of each
/// group: quicker than Zstandard, and less small.
public struct LZ4Codec: LogCodec {
    /// The codec; it has no options.
    public init() {}

    /// `lz4`.
    public var name: String { "lz4" }

    /// Blocks refer to the 64 KiB before them, and each piece of input becomes blocks at once.
    fileprivate static var preferences: LZ4F_preferences_t {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockMode = LZ4F_blockLinked
        preferences.frameInfo.blockSizeID = LZ4F_max64KB
        preferences.autoFlush = 1
        return preferences
    }

    private static let headBytes = 32

    /// The library's bound for each piece, and the head of a frame.
    public func bound(_ plainBytes: Int) -> Int {
        var preferences = Self.preferences
        let (whole, rest) = plainBytes.quotientAndRemainder(dividingBy: pieceBytes)
        return whole * LZ4F_compressBound(pieceBytes, &preferences) + LZ4F_compressBound(rest, &preferences)
            + Self.headBytes
    }

    /// A context of its own.
    public func makeEncoder() -> any LogEncoder { Encoder() }

    /// A context of its own.
    public func makeDecoder() -> any LogDecoder { Decoder() }

    private final class Encoder: LogEncoder {
        private let context: OpaquePointer
        private var preferences = LZ4Codec.preferences

        init() {
            var context: OpaquePointer?
            LZ4F_createCompressionContext(&context, UInt32(LZ4F_VERSION))
            guard let context else { preconditionFailure("no memory for compression") }
            self.context = context
        }

        deinit { LZ4F_freeCompressionContext(context) }

        func encode(_ plain: UnsafeRawBufferPointer, beginsFrame: Bool, into output: LogBuffer) {
            if beginsFrame {
                let tail = output.tail(LZ4Codec.headBytes)
                add(LZ4F_compressBegin(context, tail.baseAddress, tail.count, &preferences), to: output)
            }
            var offset = 0
            while offset < plain.count {
                let piece = UnsafeRawBufferPointer(rebasing: plain[offset..<min(offset + pieceBytes, plain.count)])
                let tail = output.tail(LZ4F_compressBound(piece.count, &preferences))
                add(
                    LZ4F_compressUpdate(
                        context, tail.baseAddress, tail.count, piece.baseAddress, piece.count, nil), to: output)
                offset += piece.count
            }
        }

        private func add(_ result: Int, to output: LogBuffer) {
            precondition(
                LZ4F_isError(result) == 0, "lz4 can't compress: \(String(cString: LZ4F_getErrorName(result)))")
            output.append(result)
        }
    }

    private final class Decoder: LogDecoder {
        private let context: OpaquePointer

        init() {
            var context: OpaquePointer?
            LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
            guard let context else { preconditionFailure("no memory for decompression") }
            self.context = context
        }

        deinit { LZ4F_freeDecompressionContext(context) }

        func decode(
            _ stored: UnsafeRawBufferPointer, plainBytes: Int, beginsFrame: Bool, into output: LogBuffer
        ) -> Bool {
            if beginsFrame { LZ4F_resetDecompressionContext(context) }
            var offset = 0
            var left = plainBytes
            while true {
                // One byte more than is due shows whether there is more than there should be.
                let room = min(left + 1, pieceBytes)
                let tail = output.tail(room)
                var made = room
                var taken = stored.count - offset
                let source = UnsafeRawBufferPointer(rebasing: stored[offset...])
                let result = LZ4F_decompress(context, tail.baseAddress, &made, source.baseAddress, &taken, nil)
                guard LZ4F_isError(result) == 0, made <= left else { return false }
                output.append(made)
                left -= made
                offset += taken
                if made < room, offset == stored.count || (made == 0 && taken == 0) {
                    return left == 0 && offset == stored.count
                }
            }
        }
    }
}
