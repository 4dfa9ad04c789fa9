// SPDX-License-Identifier: MIT

/// Effects in order: a ring that grows when it must and is drained within the turn.
struct EffectQueue: ~Copyable {
    private var ring: UnsafeMutablePointer<Effect>
    /// A power of two.
    private var capacity = 64
    private var head = 0
    private var used = 0

    init() { ring = .allocate(capacity: capacity) }

    deinit { ring.deallocate() }

    @inline(__always)
    mutating func append(_ effect: Effect) {
        if used == capacity { grow() }
        (ring + ((head + used) & (capacity - 1))).initialize(to: effect)
        used += 1
    }

    @inline(__always)
    mutating func popFirst() -> Effect? {
        guard used > 0 else { return nil }
        let effect = ring[head]
        head = (head + 1) & (capacity - 1)
        used -= 1
        return effect
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Effect>.allocate(capacity: capacity * 2)
        for offset in 0..<used { (larger + offset).initialize(to: ring[(head + offset) & (capacity - 1)]) }
        ring.deallocate()
        ring = larger
        head = 0
        capacity *= 2
    }
}
