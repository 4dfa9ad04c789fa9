// SPDX-License-Identifier: MIT

/// What a connection in memory consists of: bytes under way in both directions, and what each end did.
struct MemoryPipe {
    /// Bytes that the client sent and the server didn't read.
    var toServer: [UInt8] = []
    /// Bytes that the server took in ahead, as a TLS library does, and didn't read.
    var takenIn: [UInt8] = []
    /// Bytes that the server wrote and the client didn't receive.
    var toClient: [UInt8] = []
    var clientSendsMore = true
    var clientIsOpen = true
    var serverIsOpen = true
    /// An errno that both reading and writing answer from now on.
    var failure: Int32?

    /// How many bytes a write takes at most.
    var bytesPerWrite = Int.max
    /// How many bytes may be under way to the client before a write must wait.
    var room = 1 << 20
    /// Whether the server takes in all there is at each read, though it hands out less.
    var takesInAhead = false

    /// What the loop gave to be called when the stream may be ready.
    var onReady: (@Sendable () -> Void)?

    var isReadable: Bool { !toServer.isEmpty || !clientSendsMore || !clientIsOpen || failure != nil }
    var isWritable: Bool { toClient.count < room || !clientIsOpen || failure != nil }
}
