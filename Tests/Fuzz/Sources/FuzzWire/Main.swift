// SPDX-License-Identifier: MIT

import CFuzzer
import Glibc

/// Feeds libFuzzer's inputs to the decoder, cut in several ways, and compares what came out.
@main
struct FuzzWire {
    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        let status = LLVMFuzzerRunDriver(&count, &arguments) { data, size in
            check(UnsafeRawBufferPointer(start: data, count: size))
            return 0
        }
        exit(status)
    }
}

/// With it the harness loses a byte on purpose, and the fuzzer must find out: a proof that it can find anything.
private let isCanary = getenv("TRELLIS_FUZZ_CANARY") != nil

private func check(_ input: UnsafeRawBufferPointer) {
    let whole = decode(input) { left in left }
    var random = Random(seededBy: input)
    compare(whole, decode(input) { _ in 1 }, "byte by byte")
    compare(whole, decode(input) { left in 1 + random.below(min(left, 64)) }, "in small cuts")
    compare(whole, decode(input) { left in 1 + random.below(left) }, "in large cuts")
    compare(
        whole, decode(input, bodiesPastTheDecoder: true) { left in 1 + random.below(min(left, 300)) },
        "with bodies read past the decoder")
}

private func compare(_ whole: Transcript, _ other: Transcript, _ how: String) {
    if whole == other { return }
    fatalError("decoded differently \(how):\nwhole: \(whole)\nother: \(other)")
}

/// Gives the decoder the input in parts of the sizes that `next` says, each in memory of exactly its size, so that the
/// address sanitizer sees a read beyond it.
private func decode(
    _ input: UnsafeRawBufferPointer, bodiesPastTheDecoder: Bool = false, next: (_ left: Int) -> Int
) -> Transcript {
    var session = Session()
    var position = 0
    var kept: [UInt8] = []
    while position < input.count {
        let count = next(input.count - position)
        let missing = session.bodyBytesLeft
        if bodiesPastTheDecoder, missing > 0 {
            let taken = min(count, missing)
            session.takeBody(UnsafeRawBufferPointer(rebasing: input[position..<position + taken]))
            position += taken
            continue
        }
        let part = input[position..<position + count]
        position += count
        let given = UnsafeMutableRawBufferPointer.allocate(byteCount: kept.count + count, alignment: 1)
        defer { given.deallocate() }
        given.copyBytes(from: kept)
        UnsafeMutableRawBufferPointer(rebasing: given[kept.count...]).copyBytes(from: part)
        let used = session.feed(UnsafeRawBufferPointer(given))
        kept = Array(given[used...])
        if isCanary, kept.count > 3, kept.last == 13, position < input.count { kept.removeLast() }
    }
    return session.finish(kept: kept)
}

/// A generator that is as good as it needs to be (splitmix64), the same for the same input.
private struct Random {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    init(seededBy bytes: UnsafeRawBufferPointer) {
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    mutating func below(_ bound: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
    }
}
