// SPDX-License-Identifier: MIT

public import TrellisCore

extension BeanstalkdBinlog {
    /// What was found in a directory.
    public struct Summary: Hashable, Sendable {
        /// Files that were read.
        public var files = 0
        /// Records that were read, of all kinds.
        public var records: UInt64 = 0
        /// Jobs that were delivered.
        public var jobs: UInt64 = 0
        /// The size of their bodies, in bytes.
        public var bodyBytes: UInt64 = 0
        /// Jobs that were deleted in the log.
        public var deletedJobs: UInt64 = 0
        /// Changes of jobs whose put lies in no file.
        ///
        /// That is how it should be where jobs were deleted and their first file is gone.
        public var changesOfUnknownJobs: UInt64 = 0
        /// Jobs whose body doesn't end in `\r\n`, as every body must: something was written over it, or never written.
        ///
        /// They are delivered all the same, for the reference does so; two bytes are cut off.
        public var unendedBodies: UInt64 = 0
        /// The first of `unendedBodies`.
        public var firstUnendedBody: JobID?
        /// Jobs that live and were not delivered, because their body can't be read any more.
        public var unreadableBodies: UInt64 = 0
        /// The highest id in the log, deleted jobs included; 0 where there is none.
        public var highestID = JobID(0)
        /// Where files couldn't be read on, in the order of the files; then unreadable bodies, at most 100 of them.
        public var damage: [Damage] = []
    }

    /// A place from which a file couldn't be read on.
    public struct Damage: Hashable, Sendable, CustomStringConvertible {
        /// The name of the file, without its directory.
        public var file: String
        /// Where the record begins that can't be read.
        public var offset: UInt64
        /// What is wrong with it.
        public var reason: String
        /// How many bytes were left out, zeroes at the end of the file not counted.
        public var unreadBytes: UInt64

        /// `binlog.3, byte 4711: the file ends in the middle of a record (120 bytes were not read)`.
        public var description: String { "\(file), byte \(offset): \(reason) (\(unreadBytes) bytes were not read)" }
    }

    /// How far the reading has come.
    public enum Progress: Hashable, Sendable {
        /// Bytes of the files that were looked through, of so many.
        case scanning(UInt64, of: UInt64)
        /// Jobs that were delivered, of so many.
        case delivering(UInt64, of: UInt64)
    }

    /// What a directory is, from the names and first bytes of its files.
    public enum Finding: Hashable, Sendable {
        /// No file is a log of beanstalkd; or those that could be one are still empty.
        case nothing
        /// There is a file in a version that can be read.
        case readable(file: String, version: UInt32)
        /// There are files with names like those of a log, but none begins with a version that can be read; the text
        /// says what the first has instead.
        case unreadable(file: String, reason: String)
    }
}
