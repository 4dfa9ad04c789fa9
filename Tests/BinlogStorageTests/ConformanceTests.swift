// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

@Suite struct ConformanceTests {
    @Test(arguments: [SyncPolicy.always, .every(5_000_000), .never], [true, false])
    func keepsTheContract(sync: SyncPolicy, hasThreads: Bool) throws {
        try StorageConformance(keepsJobs: true) {
            let directory = Scratch()
            return {
                BinlogStorage(
                    LogSettings(
                        directory: directory.path, sync: sync, segmentBytes: 1 << 20, hasThreads: hasThreads))
            }
        }.run()
    }

    @Test(arguments: ["zstd", "lz4"], [true, false])
    func keepsTheContractCompressed(codec: String, hasThreads: Bool) throws {
        try StorageConformance(keepsJobs: true) {
            let directory = Scratch()
            return {
                var options = Options(defaultsOf: CompressedBinlogStorage.plugin.descriptor.options)
                options.values["directory"] = .text(directory.path)
                options.values["codec"] = .text(codec)
                options.values["segment-size"] = .size(1 << 20)
                var settings = CompressedBinlogStorage.settings(options)
                settings.hasThreads = hasThreads
                return BinlogStorage(settings)
            }
        }.run()
    }

    /// The kit's test for anybody's store; `FaultTests` goes further.
    @Test func keepsTheContractOnFilesThatFail() throws {
        try FaultyFilesTest(seeds: 1, stride: 5) { files in
            BinlogStorage(
                LogSettings(directory: "/log", sync: .always, segmentBytes: 32 << 10, files: files, hasThreads: false))
        }.run()
    }
}
