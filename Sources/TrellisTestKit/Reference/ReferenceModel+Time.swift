// SPDX-License-Identifier: MIT

/// What happens because time passes.
extension ReferenceModel {
    private enum Happening {
        case expiry(UInt64)
        case deadlineSoon(Int)
        case timedOut(Int)
        case delayIsOver(UInt64)
        case lifeIsOver(UInt64)
        case pauseIsOver(String)
        case tokenIsThere(String)
        case bucketIsFull(String)
    }

    /// Something that will happen, and its place in the order in which things happen: by time; at the same time
    /// connections before tubes; then by index; then as written in `happenings`.
    private struct Due {
        var time: Int64
        var kind: Int
        var index: Int
        var rank: Int
        var what: Happening

        static func precedes(_ left: Due, _ right: Due) -> Bool {
            (left.time, left.kind, left.index, left.rank) < (right.time, right.kind, right.index, right.rank)
        }
    }

    /// When something happens next by itself; nil where nothing will.
    public var nextEvent: Int64? { happenings().map(\.time).min() }

    /// All the times at which something happens if nothing else does before, ascending.
    public var eventTimes: [Int64] {
        var times = happenings().map(\.time)
        for job in jobs where job.state == .reserved || job.state == .delayed { times.append(job.deadline) }
        return times.sorted()
    }

    /// Sets the time, which never goes back, and lets happen what is due by then.
    public mutating func advance(to time: Int64) -> [Answer] {
        now = max(now, time)
        while let due = happenings().min(by: Due.precedes), due.time <= now { happen(due.what) }
        return takeAnswers()
    }

    private func happenings() -> [Due] {
        var all: [Due] = []
        for client in clients {
            func add(_ time: Int64, _ rank: Int, _ what: Happening) {
                all.append(Due(time: time, kind: 0, index: client.index, rank: rank, what: what))
            }
            let soonest = soonestReserved(by: client.name)
            if let soonest { add(soonest.deadline, 0, .expiry(soonest.id)) }
            if let end = client.waitsUntil {
                if let soonest { add(soonest.deadline - Self.second, 1, .deadlineSoon(client.name)) }
                add(end, 2, .timedOut(client.name))
            }
        }
        for tube in tubes {
            if let job = delayed(in: tube.name) {
                all.append(Due(time: job.deadline, kind: 1, index: tube.index, rank: 0, what: .delayIsOver(job.id)))
            }
            if let job = nextExpiring(in: tube.name) {
                let time = expiry(of: job)
                all.append(Due(time: time, kind: 1, index: tube.index, rank: 1, what: .lifeIsOver(job.id)))
            }
            if let end = tube.pausedUntil {
                all.append(Due(time: end, kind: 1, index: tube.index, rank: 2, what: .pauseIsOver(tube.name)))
            }
            if tube.waitsForToken {
                let what = Happening.tokenIsThere(tube.name)
                all.append(Due(time: nextToken(tube), kind: 1, index: tube.index, rank: 3, what: what))
            }
            if tube.lingers {
                let what = Happening.bucketIsFull(tube.name)
                all.append(Due(time: isFullAt(tube), kind: 1, index: tube.index, rank: 4, what: what))
            }
        }
        return all.filter { $0.time < Self.never }
    }

    private mutating func happen(_ what: Happening) {
        switch what {
        case .expiry(let id):
            timeouts += 1
            change(job: id) { $0.timeouts += 1 }
            takeBack(id)
        case .deadlineSoon(let client):
            stopWaiting(client)
            answer(client, "DEADLINE_SOON")
        case .timedOut(let client):
            stopWaiting(client)
            answer(client, "TIMED_OUT")
        case .delayIsOver(let id):
            makeReady(id)
        case .lifeIsOver(let id):
            expire(id)
        case .pauseIsOver(let tube):
            endPause(of: tube)
        case .tokenIsThere(let tube):
            change(tube: tube) { $0.waitsForToken = false }
            offer(tube)
        case .bucketIsFull(let tube):
            change(tube: tube) { $0.lingers = false }
            removeTubeIfUnneeded(tube)
        }
    }

    mutating func endPause(of tube: String) {
        change(tube: tube) {
            $0.pausedUntil = nil
            $0.pauseSeconds = 0
        }
        offer(tube)
    }
}
