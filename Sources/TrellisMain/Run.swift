// SPDX-License-Identifier: MIT

import Logging
import PriorityScheduler
import TrellisConfiguration
import TrellisCore
import TrellisServer

/// Serves as configured; returns after a clean stop.
///
/// `source` is what the configuration was read from; its file, `file`, is read again on SIGHUP.
func serve(_ configuration: Configuration, source: ConfigurationSource, file: String?) throws(ServerError) {
    let threshold = LogThreshold(configuration.loggerLevel)
    let logger = Logger(label: "trellisd") { StandardErrorLog(label: $0, threshold: threshold) }
    var updates: UpdateSource?
    if let file {
        let reloader = Reloader(
            file: file, source: source, plugins: Program.plugins, configuration: configuration, threshold: threshold)
        updates = { (managesSockets) throws(UpdateRefusal) in try reloader.update(managesSockets: managesSockets) }
    }
    let server = Server(
        settings: configuration.serverSettings(version: trellisVersion),
        storage: configuration.storage.make(),
        scheduler: configuration.scheduler.make(),
        standIn: PriorityScheduler(),
        transports: configuration.transports.map { $0.make() },
        updates: updates,
        logger: logger)
    try server.run()
}

extension Configuration {
    /// What the server takes from it, beside its plugins.
    func serverSettings(version: String) -> ServerSettings {
        ServerSettings(
            engine: EngineLimits(jobBytes: jobBytes, memoryBytes: memoryBytes),
            tubeRules: tubeRules,
            connections: connections,
            outputBytes: outputBytes,
            inputBytes: inputBytes,
            ioThreads: ioThreads,
            user: user,
            version: version)
    }

    /// The log level.
    var loggerLevel: Logger.Level { Logger.Level(rawValue: logLevel) ?? .notice }
}
