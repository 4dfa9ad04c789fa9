// SPDX-License-Identifier: MIT

import TrellisMain

/// `trellisd`: the server with the built-in plugins, and those that a configuration loads.
@main
struct Trellisd {
    static func main() { runServer(plugins: builtInPlugins) }
}
