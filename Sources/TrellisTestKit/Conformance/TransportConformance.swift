// SPDX-License-Identifier: MIT

public import TrellisCore

/// Checks a transport against every law of the contract that a client at the other end can bring out.
///
///     try TransportConformance(
///         make: { MyTransport(path) },
///         connect: { endpoint in SocketClient(connectingTo: endpoint) }
///     ).run()
public struct TransportConformance {
    private let make: () -> any Transport
    private let connect: (String) -> (any ClientEnd)?
    private let patience: Int

    /// A kit for what `make` makes.
    ///
    /// - Parameters:
    ///   - patience: How many seconds the kit waits for what must come.
    ///   - make: Makes a transport that listens at the same place each time, or at any free one.
    ///   - connect: Connects a client to an endpoint as a listener names it; nil where nobody listens.
    public init(
        patience: Int = 10, make: @escaping () -> any Transport, connect: @escaping (String) -> (any ClientEnd)?
    ) {
        self.patience = patience
        self.make = make
        self.connect = connect
    }

    /// Runs every rule, and throws all the failures at the end.
    public func run() throws(ConformanceError) {
        var findings = Findings()
        findings.rule("open gives listeners that name their endpoint", checkEndpoints)
        findings.rule("accept answers again where nobody waits", checkAgain)
        findings.rule("a waiting connection is told and accepted, with its peer", checkAccept)
        findings.rule("a descriptor doesn't block and isn't inherited", checkDescriptor)
        findings.rule("bytes go both ways whole and in order", checkBytes)
        findings.rule("a read without input answers again, and input is told", checkNoInput)
        findings.rule("a write without room answers again, and room is told", checkNoRoom)
        findings.rule("input that is left can be read, and is told of where it must be", checkBufferedInput)
        findings.rule("a client that sends no more can still receive", checkHalfClose)
        findings.rule("each end sees the other's close", checkClose)
        findings.rule("connections don't mix", checkSeveral)
        findings.rule("a listener that is closed, twice, leaves its place free", checkListenerClose)
        try findings.finish()
    }

    /// Opens a transport, calls with each of its listeners, and closes them.
    private func withListeners(_ findings: inout Findings, _ check: (ListenerEnd, inout Findings) -> Void) {
        let transport = make()
        do {
            let listeners = try transport.open()
            findings.expect(!listeners.isEmpty, "open gave no listener")
            for listener in listeners { check(ListenerEnd(listener, patience: patience), &findings) }
            for listener in listeners { listener.close() }
        } catch {
            findings.fail("open failed: \(error)")
        }
    }

    /// Connects a client through each listener, calls with both ends, and closes the server's.
    private func withConnections(
        _ findings: inout Findings, _ check: (any ClientEnd, ServerEnd, inout Findings) -> Void
    ) {
        withListeners(&findings) { listener, findings in
            guard let client = connect(listener.listener.endpoint) else {
                return findings.fail("a client couldn't connect to \(listener.listener.endpoint)")
            }
            guard let server = listener.accept() else { return findings.fail("a client wasn't accepted") }
            check(client, server, &findings)
            server.close()
        }
    }

    // MARK: Listening

    private func checkEndpoints(_ findings: inout Findings) {
        withListeners(&findings) { listener, findings in
            let endpoint = listener.listener.endpoint
            findings.expect(!endpoint.isEmpty, "the endpoint is an empty text")
            findings.expect(!endpoint.contains("\n"), "the endpoint has more than one line")
            let client = connect(endpoint)
            findings.expect(client != nil, "nobody listens at the endpoint \(endpoint)")
            client?.close()
        }
    }

    private func checkAgain(_ findings: inout Findings) {
        withListeners(&findings) { listener, findings in
            for _ in 0..<3 {
                if case .again = listener.listener.accept() { continue }
                return findings.fail("accept answered something else")
            }
        }
    }

    private func checkAccept(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            findings.expect(!server.peer.description.isEmpty, "the peer's description is empty")
            if case .address(let text) = server.peer { findings.expect(!text.isEmpty, "the peer's address is empty") }
            client.close()
        }
        // A listener whose client was there before anybody asked for readiness.
        do {
            for listener in try make().open() {
                let client = connect(listener.endpoint)
                let isTold = ReadinessWatch(listener.readiness, patience: patience).wait()
                findings.expect(isTold, "a client that came before readiness was asked for isn't told")
                client?.close()
                listener.close()
            }
        } catch {
            findings.fail("open failed: \(error)")
        }
    }

    private func checkDescriptor(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            findings.expect(!server.blocked, "the descriptor blocks")
            findings.expect(!server.wasInherited, "the descriptor isn't closed on exec")
            client.close()
        }
    }

    private func checkListenerClose(_ findings: inout Findings) {
        for round in 1...2 {
            do {
                for listener in try make().open() {
                    let endpoint = listener.endpoint
                    listener.close()
                    listener.close()
                    let client = connect(endpoint)
                    findings.expect(client == nil, "a client could connect to \(endpoint) after the close")
                    client?.close()
                }
            } catch {
                findings.fail("open number \(round) failed after the close of what was opened before: \(error)")
            }
        }
    }

    // MARK: Bytes

    private func checkBytes(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            var random = SeededGenerator(seed: 5)
            for count in [1, 2, 1000, 65_537] {
                let there = random.bytes(count)
                client.send(there)
                findings.expect(server.readAll(count) == there, "\(count) bytes didn't reach the server as sent")
                let back = random.bytes(count)
                findings.expect(server.writeAll(back), "the server couldn't write \(count) bytes")
                let received = receive(count, by: client)
                guard received == back else {
                    findings.fail("\(count) bytes didn't reach the client as sent")
                    break
                }
            }
            let every = (0...255).map { UInt8($0) }
            client.send(every)
            findings.expect(server.readAll(256, piece: 1) == every, "256 bytes read one by one aren't those sent")
            client.close()
        }
    }

    private func checkNoInput(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            let outcome = server.read(16).outcome
            findings.expect(outcome == .againWhenReadable, "a read without input came to \(outcome)")
            client.send([1])
            findings.expect(server.readAll(1) == [1], "a byte that came after a read without input wasn't told")
            let after = server.read(16).outcome
            findings.expect(after == .againWhenReadable, "a read after all input came to \(after)")
            client.close()
        }
    }

    private func checkNoRoom(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            var written = 0
            var outcome = TransferOutcome.bytes(0)
            // 64 MiB are more than any socket holds.
            while written < 64 << 20, case .bytes(let count) = outcome {
                written += count
                outcome = server.write(Array(repeating: 7, count: 65_536))
            }
            guard outcome == .againWhenWritable else {
                client.close()
                return findings.fail("after \(written) bytes that nobody received a write came to \(outcome)")
            }
            let received = receive(written, by: client)
            findings.expect(received.count == written, "bytes that were written are missing")
            findings.expect(server.wait(forWriting: true), "room wasn't told after the client had received all")
            findings.expect(server.writeAll([8]), "a write failed after there was room again")
            findings.expect(receive(1, by: client) == [8], "the byte after a full stream was another")
            client.close()
        }
    }

    private func checkBufferedInput(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            let sent = (0..<100).map { UInt8($0) }
            client.send(sent)
            var all = server.readAll(1)
            while all.count < 100 {
                // A descriptor tells of input as long as there is some; a signal once, and is read until it says again.
                if !server.tellsOnce, !server.hasBufferedInput, !server.wait() { break }
                let isBuffered = server.hasBufferedInput
                let (outcome, bytes) = server.read(7)
                all += bytes
                if case .bytes = outcome { continue }
                findings.expect(!isBuffered, "input was said to be buffered and a read came to \(outcome)")
                if outcome != .againWhenReadable || !server.wait() { break }
            }
            findings.expect(all == sent, "of 100 bytes read by sevens \(all.count) came")
            findings.expect(!server.hasBufferedInput, "input is said to be buffered after all of it was read")
            client.close()
        }
    }

    // MARK: Ends

    private func checkHalfClose(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            client.send([1, 2, 3])
            client.closeWrite()
            findings.expect(server.readAll(3) == [1, 2, 3], "bytes before the end are missing")
            let outcome = server.readOutcome()
            findings.expect(outcome == .end, "the end of the client's bytes came as \(Self.name(outcome))")
            findings.expect(server.read(16).outcome == .end, "the end isn't an end when read again")
            findings.expect(server.writeAll([4, 5]), "the server couldn't write after the client's end")
            findings.expect(receive(2, by: client) == [4, 5], "what was written after the end didn't come")
            client.close()
        }
    }

    private func checkClose(_ findings: inout Findings) {
        withConnections(&findings) { client, server, findings in
            client.close()
            switch server.readOutcome() {
            case .end, .failed: break
            case let other: findings.fail("a client's close came as \(Self.name(other))")
            }
        }
        withListeners(&findings) { listener, findings in
            guard let client = connect(listener.listener.endpoint), let server = listener.accept() else {
                return findings.fail("a client wasn't accepted")
            }
            findings.expect(server.writeAll([9]), "the server couldn't write")
            server.close()
            findings.expect(receive(1, by: client) == [9], "what was written before the close didn't come")
            let end = client.receive(atMost: 1, seconds: patience)
            findings.expect(end == [], "the client didn't see the server's close")
            client.close()
        }
    }

    private func checkSeveral(_ findings: inout Findings) {
        withListeners(&findings) { listener, findings in
            let clients = (0..<10).compactMap { _ in connect(listener.listener.endpoint) }
            findings.expect(clients.count == 10, "of ten clients \(clients.count) could connect")
            for (number, client) in clients.enumerated() { client.send([UInt8(number)]) }
            let servers = clients.compactMap { _ in listener.accept() }
            findings.expect(servers.count == clients.count, "of ten clients \(servers.count) were accepted")
            for server in servers {
                findings.expect(server.writeAll(server.readAll(1)), "an echo couldn't be written")
            }
            for (number, client) in clients.enumerated() {
                if receive(1, by: client) == [UInt8(number)] { continue }
                findings.fail("a client didn't receive its own byte")
                break
            }
            for client in clients { client.close() }
            for server in servers { server.close() }
        }
    }

    private func receive(_ count: Int, by client: any ClientEnd) -> [UInt8] {
        client.receive(exactly: count, seconds: patience)
    }

    private static func name(_ outcome: TransferOutcome?) -> String { outcome.map { "\($0)" } ?? "nothing in time" }
}
