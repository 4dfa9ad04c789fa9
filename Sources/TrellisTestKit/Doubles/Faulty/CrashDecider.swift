// SPDX-License-Identifier: MIT

/// Who says what of the unsynced outlives a power loss.
///
/// Asked in an order that depends on nothing but the calls made.
protocol CrashDecider {
    /// The sectors of an unsynced page that are on the disk, the first by the lowest bit.
    mutating func sectors(ofPage index: Int, in path: String) -> UInt8
    /// The size on the disk of a file whose size has changed.
    mutating func size(of path: String, from durable: UInt64, to live: UInt64) -> UInt64
    /// How many of the unsynced changes of a folder are on the disk.
    mutating func changes(of path: String, _ changes: [FaultyFolder.Change]) -> Int
}

/// All or nothing.
struct UniformDecider: CrashDecider {
    let survives: Bool

    func sectors(ofPage index: Int, in path: String) -> UInt8 { survives ? 0xFF : 0 }
    func size(of path: String, from durable: UInt64, to live: UInt64) -> UInt64 { survives ? live : durable }
    func changes(of path: String, _ changes: [FaultyFolder.Change]) -> Int { survives ? changes.count : 0 }
}

/// By chance, but in each file with a chance of its own: else all of many pages would as good as never come through.
struct RandomDecider<Generator: RandomNumberGenerator>: CrashDecider {
    var generator: Generator
    private var path: String?
    private var percent = 50

    init(_ generator: Generator) { self.generator = generator }

    mutating func sectors(ofPage index: Int, in path: String) -> UInt8 {
        if path != self.path {
            self.path = path
            percent = [0, 10, 50, 90, 100].randomElement(using: &generator) ?? 50
        }
        // Mixed chances go with pages of which only some sectors came through.
        if percent % 100 != 0, Int.random(in: 0..<8, using: &generator) == 0 {
            return UInt8.random(in: 0...0xFF, using: &generator)
        }
        return Int.random(in: 0..<100, using: &generator) < percent ? 0xFF : 0
    }

    mutating func size(of path: String, from durable: UInt64, to live: UInt64) -> UInt64 {
        switch Int.random(in: 0..<5, using: &generator) {
        case 0, 1: return durable
        case 2 where durable < live:
            // A file that has grown by several writes: the end of any page between.
            let page = UInt64(FaultyContent.pageSize)
            let size = UInt64.random(in: durable...live, using: &generator) / page * page
            return max(size, durable)
        default: return live
        }
    }

    mutating func changes(of path: String, _ changes: [FaultyFolder.Change]) -> Int {
        Int.random(in: 0...changes.count, using: &generator)
    }
}

/// By asking a test about each.
struct AskingDecider: CrashDecider {
    let survives: (FaultyFileSystem.Unsynced) -> Bool

    func sectors(ofPage index: Int, in path: String) -> UInt8 {
        survives(.page(file: path, offset: UInt64(index) * UInt64(FaultyContent.pageSize))) ? 0xFF : 0
    }

    func size(of path: String, from durable: UInt64, to live: UInt64) -> UInt64 {
        survives(.size(file: path)) ? live : durable
    }

    func changes(of path: String, _ changes: [FaultyFolder.Change]) -> Int {
        changes.firstIndex { !survives(.change(folder: path, $0.description)) } ?? changes.count
    }
}
