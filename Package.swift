// swift-tools-version: 6.2
// SPDX-License-Identifier: MIT

import PackageDescription

/// What every Swift target of the package is compiled with.
///
/// - ExistentialAny: https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
/// - InternalImportsByDefault: https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
/// - MemberImportVisibility: https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
/// - NonisolatedNonsendingByDefault: https://github.com/swiftlang/swift-evolution/blob/main/proposals/0461-async-function-isolation.md
/// - InferIsolatedConformances: https://github.com/swiftlang/swift-evolution/blob/main/proposals/0470-isolated-conformances.md
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .treatAllWarnings(as: .error),
]

/// A target of Sources/: one layer of the house.
func source(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A target of Plugins/: one folder, one plugin.
func plugin(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: ["TrellisCore"] + dependencies, path: "Plugins/\(name)", swiftSettings: settings)
}

/// A program.
func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A target of Tests/.
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let builtInPlugins: [Target.Dependency] = [
    "MemoryStorage", "BinlogStorage", "CompressedBinlogStorage", "TCPTransport", "UnixTransport", "PriorityScheduler",
    "FairScheduler", "KeyedSchedulers",
]

let package = Package(
    name: "trellis",
    products: [
        .executable(name: "trellisd", targets: ["trellisd"]),
        .executable(name: "trellis", targets: ["trellis"]),
        .library(name: "TrellisCore", targets: ["TrellisCore"]),
        .library(name: "TrellisWire", targets: ["TrellisWire"]),
        .library(name: "TrellisConfiguration", targets: ["TrellisConfiguration"]),
        .library(name: "TrellisServer", targets: ["TrellisServer"]),
        .library(name: "TrellisFiles", targets: ["TrellisFiles"]),
        .library(name: "TrellisTestKit", targets: ["TrellisTestKit"]),
        .library(name: "TrellisMain", targets: ["TrellisMain"]),
        .library(name: "CTrellisPlugin", targets: ["CTrellisPlugin"]),
        .library(
            name: "TrellisPlugins",
            targets: [
                "MemoryStorage", "BinlogStorage", "BeanstalkdBinlog", "TCPTransport", "UnixTransport",
                "PriorityScheduler", "FairScheduler", "KeyedSchedulers",
            ]),
        // What needs libraries of the system.
        .library(name: "TrellisCompressedPlugins", targets: ["CompressedBinlogStorage"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "CLinux"),
        .target(name: "CTrellisPlugin"),
        source("TrellisCore"),
        source("TrellisWire", ["TrellisCore"]),
        source("TrellisConfiguration", ["TrellisCore", yams]),
        source("TrellisSockets", ["TrellisCore", "CLinux"]),
        source("TrellisFiles", ["CLinux"]),
        source("TrellisServer", ["TrellisCore", "TrellisWire", "TrellisSockets", "CLinux", "CTrellisPlugin", logging]),
        source("TrellisTestKit", ["TrellisCore", "TrellisWire", "TrellisFiles", "CLinux"]),
        source(
            "TrellisMain",
            [
                "TrellisCore", "TrellisServer", "TrellisConfiguration", "TrellisTestKit", "BeanstalkdBinlog",
                argumentParser, logging,
            ] + builtInPlugins),
        program("trellisd", ["TrellisMain"]),
        program("trellis", [argumentParser]),

        tests(
            "Simulation",
            [
                "TrellisCore", "TrellisWire", "TrellisTestKit", "MemoryStorage", "PriorityScheduler", "FairScheduler",
                "KeyedSchedulers",
            ]),
        tests("TrellisTestKitTests", ["TrellisCore", "TrellisFiles", "TrellisTestKit"] + builtInPlugins),

        plugin("MemoryStorage"),
        plugin("BinlogStorage", ["TrellisFiles"]),
        plugin("CompressedBinlogStorage", ["BinlogStorage", "CZstd", "CLZ4"]),
        .systemLibrary(
            name: "CZstd", path: "Plugins/CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CLZ4", path: "Plugins/CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        plugin("TCPTransport", ["TrellisSockets", "CLinux"]),
        plugin("UnixTransport", ["TrellisSockets", "CLinux"]),
        plugin("PriorityScheduler"),
        plugin("FairScheduler"),
        plugin("KeyedSchedulers"),
        plugin("BeanstalkdBinlog", ["TrellisFiles"]),

        tests("TrellisCoreTests", ["TrellisCore", "MemoryStorage", "PriorityScheduler"]),
        tests("TrellisWireTests", ["TrellisCore", "TrellisWire"]),
        tests(
            "TrellisServerTests",
            [
                "TrellisCore", "TrellisServer", "TrellisTestKit", "MemoryStorage", "PriorityScheduler", "TCPTransport",
                "UnixTransport", logging,
            ]),
        tests(
            "LoadingTests",
            ["LiveServer", "PriorityScheduler", "TrellisCore", "TrellisServer", "TrellisTestKit", "trellisd"],
            exclude: ["Plugins"]),
        tests("Tidy", []),
        tests(
            "BinlogStorageTests",
            [
                "BinlogStorage", "CompressedBinlogStorage", "TrellisCore", "TrellisFiles", "TrellisTestKit", "CZstd",
                "CLZ4",
            ],
            exclude: ["Golden"]),
        tests("TrellisFilesTests", ["TrellisFiles", "CLinux"]),
        tests(
            "PluginTests", ["TrellisCore", "TrellisSockets", "TCPTransport", "UnixTransport", "PriorityScheduler"]),
        tests(
            "SchedulerTests",
            ["TrellisCore", "TrellisTestKit", "PriorityScheduler", "FairScheduler", "KeyedSchedulers"]),
        tests(
            "BeanstalkdBinlogTests", ["BeanstalkdBinlog", "TrellisCore", "TrellisFiles", "LiveServer"],
            exclude: ["Golden"]),
        tests("TrellisConfigurationTests", ["TrellisConfiguration", "TrellisCore"] + builtInPlugins),
        tests(
            "trellisdTests",
            [
                "trellisd", "TrellisMain", "TrellisConfiguration", "TrellisCore", "BinlogStorage",
                "CompressedBinlogStorage", "LiveServer", argumentParser, logging,
            ]),

        .target(name: "LiveServer", path: "Tests/LiveServer", swiftSettings: settings),
        tests("Compatibility", ["LiveServer", "TrellisTestKit", "trellisd"]),
        tests("Durability", ["LiveServer", "TrellisTestKit", "trellisd"], exclude: ["disk_faults.c"]),
        tests(
            "Clients", ["LiveServer", "trellis", "trellisd"],
            exclude: ["greenstalk_client.py", "pheanstalk_client.php"]),
    ]
)
