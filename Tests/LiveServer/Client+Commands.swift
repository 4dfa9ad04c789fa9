// SPDX-License-Identifier: MIT

/// The reply to one of the stats commands: keys and values in the order in which they came.
public struct Statistics: Sendable {
    /// Every `key: value` line.
    public var entries: [(key: String, value: String)]

    /// The keys in order.
    public var keys: [String] { entries.map(\.key) }

    /// The value as it was written, with its quotes if it has any; empty where the key is missing.
    public subscript(_ key: String) -> String { entries.first { $0.key == key }?.value ?? "" }

    /// The value as a number; -1 where it is none.
    public func number(_ key: String) -> Int { Int(self[key]) ?? -1 }
}

/// Commands as most tests need them; those that test a command itself send its bytes.
extension Client {
    /// Puts a job and answers its id.
    @discardableResult
    public func put(
        _ body: String = "x", priority: Int = 0, delay: Int = 0, ttr: Int = 60, _ file: StaticString = #fileID,
        _ line: UInt = #line
    ) throws(Unexpected) -> Int {
        send("put \(priority) \(delay) \(ttr) \(body.utf8.count)\r\n\(body)\r\n")
        let reply = try self.line(within: Client.patience, file, line)
        guard reply.hasPrefix("INSERTED "), let id = Int(reply.dropFirst(9)) else {
            throw Unexpected("put was answered \(reply)", file, line)
        }
        return id
    }

    /// Reserves a job that is ready; throws unless it is the one with that id.
    public func reserve(
        _ id: Int, _ body: String = "x", _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) {
        try call("reserve-with-timeout 0", "RESERVED \(id) \(body.utf8.count)\r\n\(body)", file, line)
    }

    /// Deletes a job.
    public func delete(_ id: Int, _ file: StaticString = #fileID, _ line: UInt = #line) throws(Unexpected) {
        try call("delete \(id)", "DELETED", file, line)
    }

    /// Uses the tube and watches nothing else.
    public func settle(
        _ tube: String, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) {
        try call("use \(tube)", "USING \(tube)", file, line)
        try call("watch \(tube)", "WATCHING 2", file, line)
        try call("ignore default", "WATCHING 1", file, line)
    }

    /// Sends one of the stats commands and reads its reply, strictly.
    public func statistics(
        _ command: String = "stats", _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) -> Statistics {
        send(command + "\r\n")
        return try readStatistics(command, file, line)
    }

    /// Reads the reply to one of the stats commands, which was sent before.
    public func readStatistics(
        _ command: String = "stats", _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) -> Statistics {
        var lines = try chunk(command, file, line)
        guard lines.first == "---" else { throw Unexpected("\(command): no --- at the beginning", file, line) }
        lines.removeFirst()
        var entries: [(key: String, value: String)] = []
        for entry in lines {
            guard let colon = entry.firstIndex(of: ":"), entry[colon...].hasPrefix(": ") else {
                throw Unexpected("\(command): not `key: value`: \(entry)", file, line)
            }
            entries.append((String(entry[..<colon]), String(entry[colon...].dropFirst(2))))
        }
        return Statistics(entries: entries)
    }

    /// Sends one of the list commands and reads its reply, strictly.
    public func list(
        _ command: String, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) -> [String] {
        send(command + "\r\n")
        let lines = try chunk(command, file, line)
        guard lines.first == "---", lines.dropFirst().allSatisfy({ $0.hasPrefix("- ") }) else {
            throw Unexpected("\(command): not a YAML list: \(lines)", file, line)
        }
        return lines.dropFirst().map { String($0.dropFirst(2)) }
    }

    /// Reads the `OK` chunk that answers the command; its lines without their newlines.
    private func chunk(
        _ command: String, _ file: StaticString, _ line: UInt
    ) throws(Unexpected) -> [String] {
        let head = try self.line(within: Client.patience, file, line)
        guard head.hasPrefix("OK "), let size = Int(head.dropFirst(3)) else {
            throw Unexpected("\(command) was answered \(head)", file, line)
        }
        let text = String(decoding: try bytes(size, file, line), as: UTF8.self)
        try expect("\r\n", within: Client.patience, file, line)
        guard text.hasSuffix("\n") else { throw Unexpected("\(command): the text ends in no newline", file, line) }
        return text.dropLast().split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
    }
}
