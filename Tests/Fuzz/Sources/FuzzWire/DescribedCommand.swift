// SPDX-License-Identifier: MIT

import TrellisCore
import TrellisWire

/// A command with its name copied, so that it can be kept and compared.
struct DescribedCommand: Equatable {
    var word: String
    var name: [UInt8]?
    var numbers: [UInt64]
    /// Whether the line can be written again from the command.
    var isComplete = true

    init(_ command: Command) {
        switch command {
        case .put(let line):
            let numbers = [line.priority, line.delay, line.ttr, line.size].map(UInt64.init)
            self.init("put", numbers, isComplete: !line.hasTrailingBytes)
        case .reserve: self.init("reserve")
        case .reserveWithTimeout(let seconds): self.init("reserve-with-timeout", [UInt64(seconds)])
        case .reserveJob(let id): self.init("reserve-job", [id.rawValue])
        case .delete(let id): self.init("delete", [id.rawValue])
        case .release(let id, let priority, let delay):
            self.init("release", [id.rawValue, UInt64(priority), UInt64(delay)])
        case .bury(let id, let priority): self.init("bury", [id.rawValue, UInt64(priority)])
        case .touch(let id): self.init("touch", [id.rawValue])
        case .use(let name): self.init("use", name: name)
        case .watch(let name): self.init("watch", name: name)
        case .ignore(let name): self.init("ignore", name: name)
        case .peek(let id): self.init("peek", [id.rawValue])
        case .peekReady: self.init("peek-ready")
        case .peekDelayed: self.init("peek-delayed")
        case .peekBuried: self.init("peek-buried")
        case .kick(let bound): self.init("kick", [UInt64(bound)])
        case .kickJob(let id): self.init("kick-job", [id.rawValue])
        case .stats: self.init("stats")
        case .statsJob(let id): self.init("stats-job", [id.rawValue])
        case .statsTube(let name): self.init("stats-tube", name: name)
        case .listTubes: self.init("list-tubes")
        case .listTubeUsed: self.init("list-tube-used")
        case .listTubesWatched: self.init("list-tubes-watched")
        case .pauseTube(let name, let seconds): self.init("pause-tube", name: name, [UInt64(seconds)])
        case .pauseTubeMisnamed: self.init("pause-tube", isComplete: false)
        case .quit: self.init("quit")
        }
    }

    private init(_ word: String, name: BorrowedName? = nil, _ numbers: [UInt64] = [], isComplete: Bool = true) {
        if let name { require(BorrowedName.isValid(name.bytes), "a name that is none") }
        self.word = word
        self.name = name.map { Array($0.bytes) }
        self.numbers = numbers
        self.isComplete = isComplete
    }

    /// The command written in the plainest way must be read as the same command.
    func checkRoundTrip() {
        guard isComplete else { return }
        var line = Array(word.utf8)
        if let name { line += [UInt8(ascii: " ")] + name }
        for number in numbers { line += [UInt8(ascii: " ")] + Array("\(number)".utf8) }
        line.append(13)
        line.withUnsafeBytes { bytes in
            guard case .command(let again) = LineParser.parse(bytes), DescribedCommand(again) == self else {
                fatalError("read as something else: \(self)")
            }
        }
    }
}
