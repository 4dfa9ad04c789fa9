// SPDX-License-Identifier: MIT

import Logging
import MemoryStorage
import PriorityScheduler
import TCPTransport
import TrellisCore
import TrellisServer
import UnixTransport

@main
struct Main {
    static func main() throws {
        let server = Server(
            settings: ServerSettings(version: "0.1.0"), storage: MemoryStorage(), scheduler: PriorityScheduler(),
            transports: [
                TCPTransport(host: "127.0.0.1", port: 11300),
                UnixTransport(path: "/tmp/trellis.sock", mode: 0o660, owner: nil),
            ],
            logger: Logger(label: "trellisd"))
        try server.run()
    }
}
