// SPDX-License-Identifier: MIT

/// Why a tube may not be served.
struct TubeHolds: OptionSet {
    var rawValue: UInt8

    /// `pause-tube` said so.
    static let pause = TubeHolds(rawValue: 1)
    /// As many of its jobs are reserved as may be.
    static let concurrency = TubeHolds(rawValue: 2)
    /// It must wait for a token of its rate.
    static let rate = TubeHolds(rawValue: 4)
}

/// The operator's rules for tubes, and the limits among them. They work with every scheduler: it only hears that a tube
/// isn't eligible.
///
/// A worker that asks for a job by its id isn't held up by a limit, as it isn't by a pause: the job counts as reserved,
/// and takes no token.
extension Engine {
    /// What the operator has said of the tube.
    func settings(of tube: UInt32) -> TubeSettings {
        let rule = tubes[tube].pointee.rule
        return rule == none ? TubeSettings() : tubeRules.rules[Int(rule)].settings
    }

    /// Finds the rule of a tube and begins to count anew; the scheduler isn't told yet.
    ///
    /// - Complexity: the number of rules.
    mutating func setRule(of index: UInt32, _ name: BorrowedName) {
        let tube = tubes[index]
        tube.pointee.rule = tubeRules.firstMatch(name).map { UInt32($0) } ?? none
        let settings = settings(of: index)
        tube.pointee.isLimited = settings.isLimited
        tube.pointee.concurrency = settings.concurrency ?? .max
        tube.pointee.tokens = settings.rate.map { TokenBucket($0) }
        setPolicy(of: index, settings)
    }

    /// Lets other limits hold from now on; what goes beyond them already stays.
    public mutating func exchange(_ limits: EngineLimits) { self.limits = limits }

    /// Lets other rules hold from now on, for tubes that are there, too; buckets of tokens begin full where the rate is
    /// another one.
    ///
    /// - Complexity: the number of tubes times that of rules: for a change that an operator makes.
    public mutating func exchange(_ rules: TubeRules) {
        guard rules != tubeRules else { return }
        let old = tubeRules
        tubeRules = rules
        var withTTL: Set<UInt32> = []
        var index = oldestTube
        while index != none {
            let tube = tubes[index]
            let (tokens, rule, hadTTL) = (tube.pointee.tokens, tube.pointee.rule, tube.pointee.hasTTL)
            let former = rule == none ? TubeSettings() : old.rules[Int(rule)].settings
            setRule(of: index, BorrowedName(UnsafeRawBufferPointer(tube.pointee.name)))
            if exchangeTTL(of: index, hadTTL: hadTTL) { withTTL.insert(index) }
            let settings = settings(of: index)
            if settings.rate == former.rate {
                tube.pointee.tokens = tokens
            } else {
                lift(.rate, from: index)
            }
            if tube.pointee.reserved >= tube.pointee.concurrency {
                hold(index, for: .concurrency)
            } else {
                lift(.concurrency, from: index)
            }
            // It has other tokens to wait for now, or none.
            if tube.pointee.lingers {
                tube.pointee.lingers = false
                pendingTubes.append(index)
            }
            if settings != former { scheduler.tubeChanged(TubeIndex(index), settings: settings) }
            index = tube.pointee.newer
        }
        enterExpiries(ofTubes: withTTL)
        index = oldestTube
        while index != none {
            serve(index)
            index = tubes[index].pointee.newer
        }
        while let tube = pendingTubes.popLast() { removeTubeIfUnneeded(tube) }
    }

    /// A job of a limited tube was reserved, and counted.
    mutating func countAgainstLimits(of index: UInt32, takesToken: Bool) {
        let tube = tubes[index]
        if tube.pointee.reserved >= tube.pointee.concurrency { hold(index, for: .concurrency) }
        guard takesToken else { return }
        tube.pointee.tokens?.take(at: now)
        guard let next = tube.pointee.tokens?.nextToken, next > now else { return }
        hold(index, for: .rate)
        armTube(index)
    }

    /// A job of the tube is reserved no longer: answers whether the tube may be served again because of it.
    mutating func freeSlot(of index: UInt32) -> Bool {
        let tube = tubes[index]
        return tube.pointee.reserved < tube.pointee.concurrency && lift(.concurrency, from: index)
    }

    /// The tube may not be served from now on, for that reason and perhaps for others.
    mutating func hold(_ index: UInt32, for reason: TubeHolds) {
        let tube = tubes[index]
        if tube.pointee.holds.isEmpty { scheduler.eligible(TubeIndex(index), false) }
        tube.pointee.holds.formUnion(reason)
    }

    /// One reason is gone.
    ///
    /// Answers whether it was the last; waiters aren't served yet (`serve`).
    @discardableResult
    mutating func lift(_ reason: TubeHolds, from index: UInt32) -> Bool {
        let tube = tubes[index]
        guard !tube.pointee.holds.isDisjoint(with: reason) else { return false }
        tube.pointee.holds.subtract(reason)
        guard tube.pointee.holds.isEmpty else { return false }
        scheduler.eligible(TubeIndex(index), true)
        return true
    }
}
