// SPDX-License-Identifier: MIT

public import BinlogStorage
internal import CZstd

/// Zstandard (RFC 8878): a frame that is flushed at the end of each group, so that what came before helps to compress
/// what follows.
public struct ZstdCodec: LogCodec {
    /// 1, the fastest, to 19, the smallest.
    public let level: Int32

    /// The codec at a level.
    public init(level: Int32 = 1) { self.level = level }

    /// How far back a frame refers, as a power of two: all of a frame.
    ///
    /// A reader takes memory for no more.
    static let windowLog: Int32 = 20

    /// `zstd`.
    public var name: String { "zstd" }

    /// The library's bound, and the head and the end of blocks that a flush may add.
    public func bound(_ plainBytes: Int) -> Int { ZSTD_compressBound(plainBytes) + 64 }

    /// A context of its own.
    public func makeEncoder() -> any LogEncoder { Encoder(level) }

    /// A context of its own.
    public func makeDecoder() -> any LogDecoder { Decoder() }

    private final class Encoder: LogEncoder {
        private let context: OpaquePointer

        init(_ level: Int32) {
            guard let context = ZSTD_createCCtx() else { preconditionFailure("no memory for compression") }
            self.context = context
            ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
            ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, ZstdCodec.windowLog)
        }

        deinit { ZSTD_freeCCtx(context) }

        func encode(_ plain: UnsafeRawBufferPointer, beginsFrame: Bool, into output: LogBuffer) {
            if beginsFrame { ZSTD_CCtx_reset(context, ZSTD_reset_session_only) }
            var source = ZSTD_inBuffer(src: plain.baseAddress, size: plain.count, pos: 0)
            var room = ZSTD_compressBound(plain.count) + 64
            while true {
                let tail = output.tail(room)
                var target = ZSTD_outBuffer(dst: tail.baseAddress, size: tail.count, pos: 0)
                let left = ZSTD_compressStream2(context, &target, &source, ZSTD_e_flush)
                precondition(
                    ZSTD_isError(left) == 0, "zstd can't compress: \(String(cString: ZSTD_getErrorName(left)))")
                output.append(target.pos)
                if left == 0 { return }
                room = left
            }
        }
    }

    private final class Decoder: LogDecoder {
        private let context: OpaquePointer

        init() {
            guard let context = ZSTD_createDCtx() else { preconditionFailure("no memory for decompression") }
            self.context = context
            ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZstdCodec.windowLog)
        }

        deinit { ZSTD_freeDCtx(context) }

        func decode(
            _ stored: UnsafeRawBufferPointer, plainBytes: Int, beginsFrame: Bool, into output: LogBuffer
        ) -> Bool {
            if beginsFrame { ZSTD_DCtx_reset(context, ZSTD_reset_session_only) }
            var source = ZSTD_inBuffer(src: stored.baseAddress, size: stored.count, pos: 0)
            var left = plainBytes
            while true {
                // One byte more than is due shows whether there is more than there should be.
                let room = min(left + 1, pieceBytes)
                let tail = output.tail(room)
                var target = ZSTD_outBuffer(dst: tail.baseAddress, size: room, pos: 0)
                let result = ZSTD_decompressStream(context, &target, &source)
                guard ZSTD_isError(result) == 0, target.pos <= left else { return false }
                output.append(target.pos)
                left -= target.pos
                // With room left over, the library has given all that it could make of the input.
                if target.pos < room { return left == 0 && source.pos == source.size }
            }
        }
    }
}

/// How much output is asked for at once: memory is taken as bytes come, whatever a head promises.
let pieceBytes = 256 << 10
