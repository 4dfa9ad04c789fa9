// SPDX-License-Identifier: MIT

/// Random numbers that are the same for the same seed: SplitMix64, as described by Steele, Lea and Flood in "Fast
/// splittable pseudorandom number generators" (OOPSLA 2014).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Starts the sequence of a seed, of which any is as good as another.
    public init(seed: UInt64) { state = seed }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below the bound, which is at least 1.
    public mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "there is no number below 0 to draw")
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True so many times in a hundred.
    public mutating func chance(percent: Int) -> Bool { below(100) < percent }

    /// One of the elements, of which there is at least one.
    public mutating func one<Element>(of elements: [Element]) -> Element { elements[below(elements.count)] }

    /// So many random bytes.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}
