// SPDX-License-Identifier: MIT

import Logging
import TrellisConfiguration
import TrellisCore
import TrellisServer

/// Serves as configured; returns after a clean stop.
func serve(_ configuration: Configuration, version: String) throws(ServerError) {
    var logger = Logger(label: "trellisd") { StandardErrorLog(label: $0) }
    logger.logLevel = Logger.Level(rawValue: configuration.logLevel) ?? .notice
    let server = Server(
        settings: ServerSettings(
            engine: EngineLimits(jobBytes: configuration.jobBytes, memoryBytes: configuration.memoryBytes),
            connections: configuration.connections,
            outputBytes: configuration.outputBytes,
            inputBytes: configuration.inputBytes,
            user: configuration.user,
            version: version),
        storage: configuration.storage.make(),
        scheduler: configuration.scheduler.make(),
        transports: configuration.transports.map { $0.make() },
        logger: logger)
    try server.run()
}
