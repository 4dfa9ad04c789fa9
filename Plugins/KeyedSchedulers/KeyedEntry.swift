// SPDX-License-Identifier: MIT

import TrellisCore

/// A ready job ordered by (key, id).
struct KeyedEntry: ReadyQueueEntry {
    var key: Int64
    var id: UInt64
    var slot: UInt32

    @inline(__always)
    static func precedes(_ left: KeyedEntry, _ right: KeyedEntry) -> Bool {
        left.key != right.key ? left.key < right.key : left.id < right.id
    }
}
