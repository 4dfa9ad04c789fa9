// SPDX-License-Identifier: MIT

/// One step of a random run.
///
/// A list of them can be replayed, and stays meaningful when some are left out: a step whose
/// client isn't there, or can't do that now, is passed over.
public enum WorkloadStep: Hashable, Sendable, CustomStringConvertible {
    /// A client connects under that name.
    case connect(Int)
    /// A client is gone all of a sudden.
    case disconnect(Int)
    /// A client sends no more; it is told what it waits for and then disconnected.
    case endInput(Int)
    /// A client sends something.
    case perform(ClientCommand, by: Int)
    /// It is that time now, in nanoseconds.
    case advance(to: Int64)
    /// Drain mode is switched on or off.
    case drain(Bool)

    /// The step in words.
    public var description: String {
        switch self {
        case .connect(let client): "client \(client) connects"
        case .disconnect(let client): "client \(client) is gone"
        case .endInput(let client): "client \(client) ends its input"
        case .perform(.body(let bytes, let endsWithCRLF), let client):
            "client \(client): body of \(bytes.count) bytes \(endsWithCRLF ? "and CRLF" : "without CRLF")"
        case .perform(let command, let client): "client \(client): \(command.line)"
        case .advance(let time): "time \(time)"
        case .drain(let isOn): "drain mode \(isOn ? "on" : "off")"
        }
    }
}
