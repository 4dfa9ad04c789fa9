// swift-tools-version: 6.2
// SPDX-License-Identifier: MIT

import PackageDescription

/// A store of one's own, compiled into a server of one's own.
///
/// A package outside of Trellis names it by `url:` or another path.
let package = Package(
    name: "sqlite-storage",
    dependencies: [.package(name: "trellis", path: "../..")],
    targets: [
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .target(
            name: "SQLiteStorage",
            dependencies: ["CSQLite", .product(name: "TrellisCore", package: "trellis")]),
        .executableTarget(
            name: "trellisd-sqlite",
            dependencies: ["SQLiteStorage", .product(name: "TrellisMain", package: "trellis")]),
        .testTarget(
            name: "SQLiteStorageTests",
            dependencies: ["CSQLite", "SQLiteStorage", .product(name: "TrellisTestKit", package: "trellis")]),
    ]
)
