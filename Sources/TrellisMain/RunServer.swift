// SPDX-License-Identifier: MIT

import Glibc
public import TrellisCore

/// The whole of the program `trellisd`, with these plugins: its command line, configuration, commands and server.
///
/// A server of your own is a package that depends on this one, and a few lines:
///
///     import TrellisMain
///
///     @main struct Main {
///         static func main() { runServer(plugins: builtInPlugins + [.storage(MyStorage.plugin)]) }
///     }
///
/// `use: my` in its configuration chooses the plugin, `plugins show my` describes it, and `plugins test storage my`
/// tests it.
public func runServer(plugins: [AnyPlugin]) -> Never {
    Program.$plugins.withValue(plugins) { Trellisd.main() }
    exit(0)
}

/// What the program consists of beside its code.
enum Program {
    /// The plugins that are compiled in.
    @TaskLocal static var plugins = builtInPlugins
}
