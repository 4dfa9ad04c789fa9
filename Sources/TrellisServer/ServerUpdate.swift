// SPDX-License-Identifier: MIT

public import TrellisCore

/// What a server is to change while it runs, because its configuration was read again.
public struct ServerUpdate {
    /// What holds from now on.
    ///
    /// `user`, `version` and `ownsProcess` are of a start only, and stay.
    public var settings: ServerSettings
    /// Transports to open.
    ///
    /// Their numbers follow those of all before: the ones that the server was made with, from 0, and the ones that
    /// former updates added.
    public var added: [any Transport]
    /// The numbers of transports whose listeners are closed; connections that came in there stay.
    public var removed: [Int]
    /// Everything else that changes, a line each.
    public var changes: [String]
    /// What the configuration says and what only a restart brings about, a line each.
    public var restarts: [String]
    /// Called by the loop once the update holds: until then the server may refuse it.
    public var onApplied: @Sendable () -> Void

    /// Puts an update together.
    public init(
        settings: ServerSettings, added: [any Transport] = [], removed: [Int] = [], changes: [String] = [],
        restarts: [String] = [], onApplied: @escaping @Sendable () -> Void = {}
    ) {
        self.settings = settings
        self.added = added
        self.removed = removed
        self.changes = changes
        self.restarts = restarts
        self.onApplied = onApplied
    }
}

/// Why a configuration that was read again isn't used, a line each.
public struct UpdateRefusal: Error, Hashable, Sendable {
    /// The lines.
    public var reasons: [String]

    /// Wraps lines.
    public init(_ reasons: [String]) { self.reasons = reasons }
}

/// Reads the configuration again, and says what changes.
///
/// Called on SIGHUP by a thread of its own, one at a time, so that a slow disk holds up no client. `managesSockets` says
/// that the service manager opened the listeners, so that transports can't be opened or closed.
public typealias UpdateSource = @Sendable (_ managesSockets: Bool) throws(UpdateRefusal) -> ServerUpdate

/// A listener, and the number of the transport that opened it; nil where the service manager did.
struct OpenListener {
    let listener: any Listener
    let transport: Int?

    init(_ listener: any Listener, transport: Int?) {
        self.listener = listener
        self.transport = transport
    }

    /// Opens transports, all of them or none.
    static func open(_ transports: [any Transport], firstNumber: Int) throws(TransportError) -> [OpenListener] {
        var open: [OpenListener] = []
        for (place, transport) in transports.enumerated() {
            do throws(TransportError) {
                open += try transport.open().map { OpenListener($0, transport: firstNumber + place) }
            } catch {
                for entry in open { entry.listener.close() }
                throw error
            }
        }
        return open
    }
}

/// Keeps the place of a listener that was closed.
final class ClosedListener: Listener {
    let endpoint = "closed"
    let readiness = Readiness.descriptor(-1)

    func accept() -> AcceptOutcome { .again }
    func close() {}
}
