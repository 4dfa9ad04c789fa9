// SPDX-License-Identifier: MIT

/// For each slot of a job that stands in a heap, where.
///
/// - Complexity: O(1); memory of 4 bytes a slot once any heap was used, given back when no job is ready.
@frozen
public struct SlotPlaces: ~Copyable {
    @usableFromInline var places: UnsafeMutablePointer<UInt32>?
    @usableFromInline var capacity = 0

    /// Knows no place yet.
    @inlinable
    public init() {}

    @inlinable
    deinit { places?.deallocate() }

    /// The place of a slot's job in the heap that it stands in.
    @inlinable
    public subscript(slot: UInt32) -> UInt32 {
        get {
            guard let places, Int(slot) < capacity else { preconditionFailure("the job stands in no heap") }
            return places[Int(slot)]
        }
        set {
            if Int(slot) >= capacity { grow(toHold: Int(slot)) }
            places.unsafelyUnwrapped[Int(slot)] = newValue
        }
    }

    /// Gives a large memory back.
    ///
    /// Call it when no job is ready.
    @inlinable
    public mutating func giveBack() {
        guard capacity > 1024 else { return }
        places?.deallocate()
        places = nil
        capacity = 0
    }

    @usableFromInline
    mutating func grow(toHold slot: Int) {
        let wanted = max(64, slot + 1, capacity * 2)
        let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: wanted)
        larger.initialize(repeating: 0, count: wanted)
        if let places {
            larger.update(from: places, count: capacity)
            places.deallocate()
        }
        places = larger
        capacity = wanted
    }
}
