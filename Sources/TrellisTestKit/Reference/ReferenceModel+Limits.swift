// SPDX-License-Identifier: MIT

import TrellisCore

/// The limits of tubes. The bucket of a rate is a real one here: it fills with time, and a job takes an interval out.
extension ReferenceModel {
    mutating func makeTube(_ name: String, index: Int) {
        var tube = Tube(name: name, index: index)
        tube.settings = tubeSettings[name]
        if let rate = tube.settings?.rate { tube.level = (capacity(rate), now) }
        tubes.append(tube)
    }

    /// Whether as many of the tube's jobs are reserved as may be.
    func isFull(_ tube: Tube) -> Bool {
        guard let most = tube.settings?.concurrency else { return false }
        return jobs.filter { $0.tube == tube.name && $0.state == .reserved }.count >= most
    }

    /// A job of the tube was taken by a worker who didn't ask for its id.
    mutating func takeToken(of name: String) {
        guard let tube = tube(name), let rate = tube.settings?.rate else { return }
        let left = min(capacity(rate), tube.level.nanoseconds + now - tube.level.since) - interval(rate)
        let now = self.now
        let isEmpty = left < interval(rate)
        change(tube: name) {
            $0.level = (left, now)
            $0.waitsForToken = isEmpty
        }
    }

    func nextToken(_ tube: Tube) -> Int64 {
        guard let rate = tube.settings?.rate else { return Self.never }
        return tube.level.since + interval(rate) - tube.level.nanoseconds
    }

    func isFullAt(_ tube: Tube) -> Int64 {
        guard let rate = tube.settings?.rate else { return Self.never }
        return tube.level.since + capacity(rate) - tube.level.nanoseconds
    }

    /// Whether the tube must stay because its bucket isn't full.
    func isLingering(_ tube: Tube) -> Bool { tube.settings?.rate != nil && isFullAt(tube) > now }

    private func seconds(_ rate: Rate) -> Int64 {
        switch rate.span {
        case .second: 1
        case .minute: 60
        case .hour: 3600
        case .day: 86_400
        }
    }

    /// The time between two tokens, rounded up to a nanosecond.
    private func interval(_ rate: Rate) -> Int64 {
        let (whole, rest) = (seconds(rate) * Self.second).quotientAndRemainder(dividingBy: Int64(rate.count))
        return rest == 0 ? whole : whole + 1
    }

    /// As many tokens as a second brings, and at least one.
    private func capacity(_ rate: Rate) -> Int64 { interval(rate) * max(1, Int64(rate.count) / seconds(rate)) }
}
