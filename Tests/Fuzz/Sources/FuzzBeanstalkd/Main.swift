// SPDX-License-Identifier: MIT

import BeanstalkdBinlog
import CFuzzer
import Glibc
import TrellisCore

/// Feeds libFuzzer's inputs to the reader of beanstalkd's logs: each is one file, or two with `split` between.
@main
struct FuzzBeanstalkd {
    private static let split = Array("<next file>".utf8)

    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        let status = LLVMFuzzerRunDriver(&count, &arguments) { data, size in
            FuzzBeanstalkd.test(Array(UnsafeRawBufferPointer(start: data, count: size)))
            return 0
        }
        exit(status)
    }

    private static func test(_ input: [UInt8]) {
        var contents = [input]
        if let range = input.firstRange(of: split) {
            contents = [Array(input[..<range.lowerBound]), Array(input[range.upperBound...])]
        }
        guard let first = Outcome(contents) else { return }
        if Outcome(contents) != first { fatalError("two readings differ") }
        // Space that is reserved behind what is written means nothing.
        guard first.summary.damage.isEmpty else { return }
        contents[contents.count - 1] += [UInt8](repeating: 0, count: 100)
        if Outcome(contents) != first { fatalError("zeroes at the end change what is read") }
    }
}

/// With it a job that is fine counts as a fault, and the fuzzer must run into it: a proof that it can find anything.
private let isCanary = getenv("TRELLIS_FUZZ_CANARY") != nil

/// What one reading of a log gives, checked for what must hold whatever the bytes are.
private struct Outcome: Equatable {
    var summary: BeanstalkdBinlog.Summary
    var bodies: [UInt64: [UInt8]] = [:]

    /// Nil where the reader refuses the directory.
    init?(_ contents: [[UInt8]]) {
        let log = BeanstalkdBinlog(directory: "log", files: MemoryFiles(contents))
        do throws(StorageError) { try log.open() } catch {
            guard case .corrupt = error else { fatalError("refused with \(error)") }
            return nil
        }
        var bodies: [UInt64: [UInt8]] = [:]
        var sequence: UInt64 = 0
        var bytes = 0
        do throws(StorageError) {
            summary = try log.read { job in
                Self.check(job, after: sequence)
                sequence = job.sequence
                bytes += job.body.count + 2
                guard bodies.updateValue(Array(job.body), forKey: job.id.rawValue) == nil else {
                    fatalError("job \(job.id) came twice")
                }
            }
        } catch {
            fatalError("the reading failed: \(error)")
        }
        self.bodies = bodies
        guard summary.jobs == UInt64(bodies.count), summary.files == contents.count else {
            fatalError("the summary counts wrong")
        }
        guard summary.unreadableBodies == 0, bytes <= contents.reduce(0, { $0 + $1.count }) else {
            fatalError("bodies reach beyond their files")
        }
        guard bodies.keys.allSatisfy({ $0 <= summary.highestID.rawValue }) else { fatalError("an id is too high") }
        checkDamage(contents)
    }

    private static func check(_ job: StoredJob, after sequence: UInt64) {
        guard job.sequence > sequence else { fatalError("sequence numbers don't ascend") }
        guard BorrowedName.isValid(job.tube.bytes) else { fatalError("the tube's name is impossible") }
        guard job.id.rawValue > 0, job.id.rawValue <= 1 << 62, job.ttr > 0, job.createdAt >= 0 else {
            fatalError("a value is out of its range")
        }
        guard job.deadline == 0 || job.deadline > 0 && job.state == .delayed else {
            fatalError("the deadline is wrong")
        }
        // The corpus has no such job.
        if isCanary, job.state == .buried, job.counters.kicks > 0 { fatalError("the canary was found") }
    }

    private func checkDamage(_ contents: [[UInt8]]) {
        var names: Set<String> = []
        for damage in summary.damage {
            guard names.insert(damage.file).inserted, let number = Int(damage.file.dropFirst("binlog.".count)) else {
                fatalError("a file is damaged twice")
            }
            guard damage.offset + damage.unreadBytes <= UInt64(contents[number - 1].count), !damage.reason.isEmpty
            else {
                fatalError("the damage lies beyond its file")
            }
        }
    }
}
