// SPDX-License-Identifier: MIT

// What the package of `trellisd new-plugin storage` writes into its file, and reads from it.

extension StorageTemplate {
    static let record = #"""
        import TrellisCore

        /// One change as it lies in a turn: kind, id, numbers, tube, body.
        struct Record {
            enum Kind: UInt8 {
                case put = 1
                case update = 2
                case delete = 3
                case move = 4
            }

            let kind: Kind
            let id: UInt64
            /// All numbers of the job in one order, the same for reading and writing.
            private var numbers: [UInt64]
            private let tube: [UInt8]
            private let body: [UInt8]

            private static let count = 13

            init(_ change: Change) {
                let job: StoredJob
                switch change {
                case .put(let put): (kind, job) = (.put, put)
                case .update(let update): (kind, job) = (.update, update)
                case .delete(let delete): (kind, job) = (.delete, delete)
                case .move(let move, _): (kind, job) = (.move, move)
                }
                id = job.id.rawValue
                let counters = job.counters
                numbers = [
                    UInt64(job.state.rawValue), UInt64(job.priority), UInt64(job.delay), UInt64(job.ttr),
                    UInt64(bitPattern: job.createdAt), UInt64(bitPattern: job.deadline), job.sequence,
                    UInt64(counters.reserves), UInt64(counters.timeouts), UInt64(counters.releases),
                    UInt64(counters.buries), UInt64(counters.kicks), UInt64(counters.failures),
                ]
                tube = Array(job.tube.bytes)
                body = Array(job.body)
            }

            /// Takes the state of a later record; tube and body stay.
            mutating func update(by later: Record) { numbers = later.numbers }

            /// Shows the record as a job.
            func lend(_ use: (StoredJob) -> Void) {
                func number(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: numbers[index]) }
                var counters = JobCounters()
                (counters.reserves, counters.timeouts, counters.releases) = (number(7), number(8), number(9))
                (counters.buries, counters.kicks) = (number(10), number(11))
                counters.failures = UInt8(clamping: number(12))
                tube.withUnsafeBytes { tube in
                    body.withUnsafeBytes { body in
                        use(
                            StoredJob(
                                id: JobID(id), tube: BorrowedName(tube),
                                state: StoredJob.State(rawValue: UInt8(truncatingIfNeeded: numbers[0])) ?? .ready,
                                priority: number(1), delay: number(2), ttr: number(3),
                                createdAt: Int64(bitPattern: numbers[4]), deadline: Int64(bitPattern: numbers[5]),
                                sequence: numbers[6], counters: counters, body: body))
                    }
                }
            }

            var encoded: [UInt8] {
                var encoded = [kind.rawValue] + littleEndian(id)
                for number in numbers { encoded += littleEndian(number) }
                return encoded + [UInt8(tube.count)] + tube + littleEndian(UInt32(body.count)) + body
            }

            /// Takes the first record off those of a turn; nil where there is none of this kind.
            init?(from records: inout ArraySlice<UInt8>) {
                guard let kind = records.popFirst().flatMap({ Kind(rawValue: $0) }), let id: UInt64 = take(&records) else {
                    return nil
                }
                self.kind = kind
                self.id = id
                numbers = []
                for _ in 0..<Self.count {
                    guard let number: UInt64 = take(&records) else { return nil }
                    numbers.append(number)
                }
                guard let tubeBytes = records.popFirst(), tubeBytes <= records.count else { return nil }
                tube = Array(records.prefix(Int(tubeBytes)))
                records = records.dropFirst(Int(tubeBytes))
                guard let bodyBytes: UInt32 = take(&records), bodyBytes <= records.count else { return nil }
                body = Array(records.prefix(Int(bodyBytes)))
                records = records.dropFirst(Int(bodyBytes))
            }
        }

        """#

    static let turn = #"""
        import TrellisFiles

        /// A turn as it lies in the file: how many bytes its records are, their checksum, the records.
        ///
        /// The checksum is that of the place, too: what a client puts into a job isn't a turn wherever it comes to lie.
        enum Turn {
            /// The bytes of a turn that is to be written at that place.
            static func encode(_ records: [UInt8], at place: UInt64) -> [UInt8] {
                littleEndian(UInt64(records.count)) + littleEndian(checksum(records[...], at: place)) + records
            }

            /// The records of the turn with which a part of the file begins; nil where it isn't whole.
            static func records(of part: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
                var rest = part
                guard let count: UInt64 = take(&rest), let sum: UInt32 = take(&rest), count > 0, count <= rest.count else {
                    return nil
                }
                let records = rest.prefix(Int(count))
                return checksum(records, at: UInt64(part.startIndex)) == sum ? records : nil
            }

            /// Whether a whole turn begins somewhere in a part of the file.
            static func isAny(in part: ArraySlice<UInt8>) -> Bool {
                part.indices.contains { records(of: part[$0...]) != nil }
            }

            private static func checksum(_ records: ArraySlice<UInt8>, at place: UInt64) -> UInt32 {
                let first = littleEndian(place).withUnsafeBytes { Checksum.crc32c($0) }
                return records.withUnsafeBytes { Checksum.crc32c($0, after: first) }
            }
        }

        func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            withUnsafeBytes(of: number.littleEndian) { Array($0) }
        }

        /// Takes a number off the front.
        func take<Number: FixedWidthInteger>(_ bytes: inout ArraySlice<UInt8>) -> Number? {
            let size = MemoryLayout<Number>.size
            guard bytes.count >= size else { return nil }
            defer { bytes = bytes.dropFirst(size) }
            return bytes.prefix(size).withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(as: Number.self)) }
        }

        """#
}
