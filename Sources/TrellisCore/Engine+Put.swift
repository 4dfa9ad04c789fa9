// SPDX-License-Identifier: MIT

/// Put: first its line, then, perhaps turns later, its body.
extension Engine {
    /// What a job costs beside its body, in bytes, as it counts against the memory limit: the record, its place in a
    /// queue and in the index.
    public static var recordBytes: UInt64 { UInt64(MemoryLayout<JobRecord>.stride) + 24 }

    /// The line: fixes id, tube, age and the place in order, and sets memory aside.
    mutating func beginPut(_ line: PutLine, _ session: UnsafeMutablePointer<SessionRecord>, _ client: UInt32) -> Verdict
    {
        counters.put += 1
        let tube = session.pointee.used
        if line.size > min(limits.jobBytes, tubes[tube].pointee.maxJobBytes) {
            if line.size <= limits.jobBytes { countRefusedPut(into: tube) }
            return .swallow(UInt64(line.size) + 2, then: .jobTooBig)
        }
        if line.hasTrailingBytes {
            push(.badFormat, to: client)
            return .next
        }
        if !session.pointee.isProducer {
            session.pointee.isProducer = true
            producerCount += 1
        }
        if tubes[tube].pointee.isFull {
            countRefusedPut(into: tube)
            return .swallow(UInt64(line.size) + 2, then: .outOfMemory)
        }
        let need = Self.recordBytes + BodyAllocator.footprint(ofLength: Int(line.size))
        guard jobMemory + need <= limits.memoryBytes, let slot = jobs.allocate() else {
            return .swallow(UInt64(line.size) + 2, then: .outOfMemory)
        }
        jobMemory += need
        let id = JobID(nextJobID)
        nextJobID += 1
        (jobs[slot]).initialize(
            to: JobRecord(
                id: id, createdAt: now, sequence: 0, body: nil, note: StorageNote(), priority: line.priority,
                delay: line.delay, ttr: max(1, line.ttr), tube: TubeIndex(tube),
                place: line.size, link: none, status: JobStatus(.incoming)))
        session.pointee.incoming = slot
        return .body(line.size)
    }

    /// The body of the put whose line was read last on the connection.
    ///
    /// It has the size that the line announced. Takes over the caller's reference.
    public mutating func completePut(_ connection: ConnectionID, body: Body, endsWithCRLF: Bool) {
        let session = open(connection)
        let slot = session.pointee.incoming
        precondition(slot != none, "a body came without a put line")
        session.pointee.incoming = none
        let job = jobs[slot]
        precondition(body.count == Int(job.pointee.place), "a body hasn't the size that its put line announced")
        let tube = tubes[job.pointee.tube.index]
        let refusal: Reply? =
            if !endsWithCRLF { .expectedCRLF } else if isDraining {
                .draining
            } else if tube.pointee.isFull
                || !storage.admit(bodyBytes: body.count, tubeNameBytes: tube.pointee.name.count)
            { .outOfMemory } else { nil }
        if let refusal {
            // Others may have filled the tube while the body came.
            if endsWithCRLF, !isDraining, tube.pointee.isFull { countRefusedPut(into: job.pointee.tube.index) }
            bodies.release(body)
            forgetIncoming(slot)
            push(refusal, to: connection.index)
            return
        }
        job.pointee.body = body
        index.insert(job.pointee.id, slot: slot)
        totalJobs += 1
        tube.pointee.totalJobs += 1
        tube.pointee.jobs += 1
        if job.pointee.delay > 0 {
            makeDelayed(slot)
            log(put: slot)
            push(.inserted(job.pointee.id), to: connection.index)
        } else {
            makeReady(slot)
            log(put: slot)
            push(.inserted(job.pointee.id), to: connection.index)
            offer(slot)
        }
    }

    /// The system has no memory for the body of the put whose line was read last on the connection: the job is given
    /// up.
    ///
    /// The caller swallows what is left of the body and then sends `OUT_OF_MEMORY`.
    public mutating func abandonPut(_ connection: ConnectionID) {
        let session = open(connection)
        guard session.pointee.incoming != none else { return }
        forgetIncoming(session.pointee.incoming)
        session.pointee.incoming = none
    }

    /// Gives up a job whose body never came, or was refused.
    ///
    /// Its id stays used.
    mutating func forgetIncoming(_ slot: UInt32) {
        // The declared size stands in `place` until the body is there.
        jobMemory -= Self.recordBytes + BodyAllocator.footprint(ofLength: Int(jobs[slot].pointee.place))
        jobs.free(slot)
    }
}
