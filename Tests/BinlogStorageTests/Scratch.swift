// SPDX-License-Identifier: MIT

import Foundation

/// A folder of the system's temporary one that goes when nobody has it any more.
final class Scratch: Sendable {
    let path: String

    /// A folder whose name nobody has; the store makes it.
    init() {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("trellis-\(UUID().uuidString)").path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
