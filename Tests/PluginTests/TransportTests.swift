// SPDX-License-Identifier: MIT

import Foundation
import TCPTransport
import Testing
import TrellisCore
import TrellisSockets
import UnixTransport

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:11300", "127.0.0.1", 11300), ("[::1]:1", "::1", 1), ("*:0", "*", 0),
        ("localhost:65535", "localhost", 65535),
    ])
    func addressIsSplit(_ text: String, _ host: String, _ port: UInt16) throws {
        let address = try #require(SocketAddress.split(text))
        #expect(address.host == host)
        #expect(address.port == port)
    }

    @Test(arguments: ["", ":1", "host", "host:", "host:65536", "host:-1", "::1:11300", "[::1]", "host:1x"])
    func whatIsNoAddressIsRefused(_ text: String) {
        #expect(SocketAddress.split(text) == nil)
    }
}

@Suite struct TCPTransportTests {
    @Test func portInUseIsToldWithWhatToDo() throws {
        let listeners = try TCPTransport(host: "127.0.0.1", port: 0).open()
        defer { for listener in listeners { listener.close() } }
        let port = try #require(listeners.first?.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
        let error = try #require(throws: TransportError.self) {
            try TCPTransport(host: "127.0.0.1", port: port).open()
        }
        #expect(
            error.description
                == "can't listen on 127.0.0.1:\(port): Address already in use; stop the server that uses the port, or choose another one"
        )
    }

    @Test func portInUseOnOneOfSeveralAddressesEndsTheStart() throws {
        let taken = try TCPTransport(host: "127.0.0.1", port: 0).open()
        defer { for listener in taken { listener.close() } }
        let port = try #require(taken.first?.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
        let error = try #require(throws: TransportError.self) {
            for listener in try TCPTransport(host: "*", port: port).open() { listener.close() }
        }
        #expect(error.description.contains("Address already in use"))
    }

    @Test func foreignAddressAndUnknownNameAreTold() throws {
        let foreign = try #require(throws: TransportError.self) {
            try TCPTransport(host: "192.0.2.1", port: 0).open()
        }
        #expect(foreign.description.contains("it is no address of this machine"))
        let unknown = try #require(throws: TransportError.self) {
            try TCPTransport(host: "no-such-host.invalid", port: 1).open()
        }
        #expect(unknown.description.hasPrefix("can't find the address no-such-host.invalid"))
    }

    @Test func loopbackOfBothFamiliesIsListenedOn() throws {
        for host in ["127.0.0.1", "::1"] {
            let listeners = try TCPTransport(host: host, port: 0).open()
            #expect(listeners.count == 1)
            #expect(listeners[0].endpoint.hasPrefix(host == "::1" ? "[::1]:" : "127.0.0.1:"))
            guard case .again = listeners[0].accept() else {
                Issue.record("a connection came from nowhere")
                continue
            }
            for listener in listeners {
                listener.close()
                listener.close()
            }
        }
    }

    @Test func badAddressInTheOptionsIsAFault() {
        let faults = TCPTransport.plugin.validate(Options(["listen": .text("nowhere")]))
        #expect(faults.map(\.key) == ["listen"])
        #expect(TCPTransport.plugin.validate(Options(defaultsOf: TCPTransport.plugin.descriptor.options)).isEmpty)
    }
}

@Suite struct UnixTransportTests {
    private func temporaryPath(_ name: String) -> String { "/tmp/trellis-\(getpid())-\(name).sock" }

    private func mode(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    @Test func socketHasItsModeAndIsRemovedAtTheEnd() throws {
        let path = temporaryPath("mode")
        let listeners = try UnixTransport(path: path, mode: 0o604, owner: nil).open()
        #expect(mode(path) == 0o604)
        #expect(listeners[0].endpoint == "unix:\(path)")
        listeners[0].close()
        #expect(mode(path) == nil)
    }

    @Test func staleSocketIsReplacedAndALiveOneRefused() throws {
        let path = temporaryPath("stale")
        let first = try UnixTransport(path: path, mode: 0o600, owner: nil).open()
        let error = try #require(throws: TransportError.self) {
            try UnixTransport(path: path, mode: 0o600, owner: nil).open()
        }
        #expect(
            error.description
                == "can't listen on unix:\(path): a live server listens there; stop it, or choose another path")
        // A socket file that nobody listens on any more.
        let stale = temporaryPath("stale2")
        #expect(rename(path, stale) == 0)
        first[0].close()
        #expect(mode(stale) != nil)
        let second = try UnixTransport(path: stale, mode: 0o600, owner: nil).open()
        second[0].close()
        #expect(mode(stale) == nil)
    }

    @Test func fileThatIsNoSocketIsLeftAlone() throws {
        let path = temporaryPath("file")
        try Data("precious".utf8).write(to: URL(filePath: path))
        defer { unlink(path) }
        let error = try #require(throws: TransportError.self) {
            try UnixTransport(path: path, mode: 0o600, owner: nil).open()
        }
        #expect(error.description.contains("a file that is no socket is there"))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }

    @Test func fileOfAnotherServerIsNotRemovedAtTheEnd() throws {
        let path = temporaryPath("taken")
        let first = try UnixTransport(path: path, mode: 0o600, owner: nil).open()
        unlink(path)
        let second = try UnixTransport(path: path, mode: 0o600, owner: nil).open()
        first[0].close()
        #expect(mode(path) == 0o600)
        second[0].close()
    }

    @Test func missingFolderAndUnknownOwnerAreTold() throws {
        let folder = try #require(throws: TransportError.self) {
            try UnixTransport(path: "/tmp/no-such-folder-\(getpid())/s", mode: 0o600, owner: nil).open()
        }
        #expect(folder.description.contains("make its folder first"))
        let owner = try #require(throws: TransportError.self) {
            try UnixTransport(path: temporaryPath("owner"), mode: 0o600, owner: "no-such-user").open()
        }
        #expect(owner.description.contains("there is no such user"))
        #expect(mode(temporaryPath("owner")) == nil)
    }

    @Test func pathThatIsTooLongIsAFault() {
        let long = "/tmp/" + String(repeating: "x", count: 103)
        #expect(UnixTransport.plugin.validate(Options(["path": .text(long)])).map(\.key) == ["path"])
        #expect(UnixTransport.plugin.validate(Options(["path": .text(String(long.dropLast()))])).isEmpty)
    }
}
