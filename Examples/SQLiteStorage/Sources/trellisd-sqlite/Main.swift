// SPDX-License-Identifier: MIT

import SQLiteStorage
import TrellisMain

/// `trellisd` with one more store: `storage: {use: sqlite}`.
@main
struct Main {
    static func main() { runServer(plugins: builtInPlugins + [.storage(SQLiteStorage.plugin)]) }
}
