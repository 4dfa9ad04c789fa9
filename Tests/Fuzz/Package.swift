// swift-tools-version: 6.2
// SPDX-License-Identifier: MIT

import PackageDescription

/// The fuzzers: a package of their own, since they need a sanitizer in every module and are no use to anybody else.
///
/// `.ci/suite` builds and runs them.
let package = Package(
    name: "trellis-fuzz",
    dependencies: [.package(name: "trellis", path: "../..")],
    targets: [
        .target(name: "CFuzzer"),
        .executableTarget(
            name: "FuzzWire",
            dependencies: [
                "CFuzzer",
                .product(name: "TrellisCore", package: "trellis"),
                .product(name: "TrellisWire", package: "trellis"),
            ]),
        .executableTarget(
            name: "FuzzConfiguration",
            dependencies: [
                "CFuzzer",
                .product(name: "TrellisConfiguration", package: "trellis"),
                .product(name: "TrellisCore", package: "trellis"),
                .product(name: "TrellisPlugins", package: "trellis"),
            ]),
        .executableTarget(
            name: "FuzzBeanstalkd",
            dependencies: [
                "CFuzzer",
                .product(name: "TrellisCore", package: "trellis"),
                .product(name: "TrellisFiles", package: "trellis"),
                .product(name: "TrellisPlugins", package: "trellis"),
            ]),
        .executableTarget(
            name: "FuzzBinlog",
            dependencies: [
                "CFuzzer",
                .product(name: "TrellisCore", package: "trellis"),
                .product(name: "TrellisFiles", package: "trellis"),
                .product(name: "TrellisPlugins", package: "trellis"),
                .product(name: "TrellisCompressedPlugins", package: "trellis"),
            ]),
    ]
)
