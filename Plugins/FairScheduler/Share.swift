// SPDX-License-Identifier: MIT

import TrellisCore

/// What one tube has had of the workers: its *tag*, the start tag of its next job, in virtual time.
///
/// Virtual time counts the cost of jobs divided by the weight of their tube, in small units: one job, or one microsecond
/// of a worker, is so many of them.
struct Share {
    /// The tag, without what is in service now where service is measured.
    var start: Int64
    /// The tag of the job that a worker who watches the tube took last: the present, for the tube.
    var clock: Int64
    var weight: Int64
    /// How many jobs workers who watch the tube have taken elsewhere while it was far ahead of them.
    var passes: UInt32 = 0

    // Where service is measured:

    /// Jobs that were picked and aren't finished.
    var inService: Int64 = 0
    /// The sum of the times at which those were reserved, in microseconds; it may have wrapped around.
    var reservedAt: Int64 = 0
    /// What a job takes on average, in microseconds, the newer ones counting more; nil before the first is finished.
    var meanService: Int64?

    init(startingAt present: Int64, weight: UInt32) {
        start = present
        clock = present
        self.weight = Int64(weight)
    }

    mutating func learn(_ service: Int64) {
        meanService = meanService.map { $0 + (service - $0) / 8 } ?? service
    }
}

/// What a job costs its tube.
public enum FairCost: String, CaseIterable, Sendable {
    /// One, whatever it does.
    case job
    /// The time for which it is reserved.
    case service
}

/// The units of virtual time.
enum VirtualTime {
    /// One job of a tube of weight 1; of weight 1000, the largest there may be, a thousandth is still exact enough.
    static let perJob: Int64 = 1 << 20
    /// One microsecond of a worker.
    static let perMicrosecond: Int64 = 1 << 6
    /// Beyond this all tags begin again: after years of full load.
    static let limit: Int64 = 1 << 61
}
