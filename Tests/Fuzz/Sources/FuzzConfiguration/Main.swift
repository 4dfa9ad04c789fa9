// SPDX-License-Identifier: MIT

import CFuzzer
import Glibc
import MemoryStorage
import PriorityScheduler
import TCPTransport
import TrellisCore
import UnixTransport

@testable import TrellisConfiguration

/// Feeds libFuzzer's inputs to the reader of configuration files, with the plugins of trellisd.
@main
struct FuzzConfiguration {
    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        let status = LLVMFuzzerRunDriver(&count, &arguments) { data, size in
            let bytes = UnsafeRawBufferPointer(start: data, count: size)
            let isAccepted = Configuration.exercise(bytes, plugins: builtInPlugins)
            if isCanary, isAccepted { checkCanary(bytes) }
            return 0
        }
        exit(status)
    }
}

/// With it a value that is fine counts as a fault, and the fuzzer must run into it: a proof that it can find anything.
private let isCanary = getenv("TRELLIS_FUZZ_CANARY") != nil

private func checkCanary(_ bytes: UnsafeRawBufferPointer) {
    let source = ConfigurationSource(file: .init(bytes: Array(bytes)))
    guard let configuration = try? Configuration.load(source, plugins: builtInPlugins) else { return }
    // The sizes that the corpus has.
    if ![65_535, 2048, 1024].contains(configuration.jobBytes) { fatalError("the canary was found") }
}

private let builtInPlugins: [AnyPlugin] = [
    .storage(MemoryStorage.plugin), .transport(TCPTransport.plugin), .transport(UnixTransport.plugin),
    .scheduler(PriorityScheduler.plugin),
]
