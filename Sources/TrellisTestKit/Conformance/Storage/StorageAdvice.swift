// SPDX-License-Identifier: MIT

/// What a broken rule of the storage contract mostly comes from, for the author of a store.
public enum StorageAdvice {
    /// A sentence or two for a rule that was broken as the details say; nil where they say all.
    public static func text(for rule: String, details: [String]) -> String? {
        // Where the check itself came to an end, the reason is told already.
        let reasons = ["ended the check", "ended the process"]
        if details.allSatisfy({ detail in reasons.contains { detail.contains($0) } }) { return nil }
        if details.contains(where: { $0.contains(StorageCrashTask.refusal) }) {
            return
                "The store has no room for this test, which keeps up to \(StorageLife.mostJobs) jobs of up to 2.6 KB at a time: "
                + "give it more (--options)."
        }
        if details.contains(where: { $0.contains(StorageCrashTest.endedByItself) }) {
            return "The store failed or crashed by itself; see the line above."
        }
        return advice[rule]
    }

    private static let advice: [String: String] = [
        "a new place is empty":
            "`recover` of a store that was just made must deliver nothing and answer 0 as the highest id.",
        "a job comes back whole":
            "Keep every byte of tube and body: both may hold any byte, also NUL and line ends, and a body may be empty. Copy "
            + "them in `append`: the buffers are used for something else afterwards. Leave out `keepsJobs`, or answer true.",
        "every state and extreme number comes back":
            "Every number must come back as it was, also the largest of its type: look for narrower types and signs.",
        "an update changes what it may, and not the body":
            "An update comes without the body, which stays what it was; state, priority, delay, deadline, sequence and "
            + "counters are those of the update.",
        "a moved job is in its new tube, and nowhere else":
            "A move gives a job that is there another tube; id, body, time to run and creation stay, all else is that of the move. "
            + "It is one change: a delete and a put of the same id could be torn apart by a crash.",
        "a deleted job doesn't come back":
            "A delete must outlive a restart, also that of a job which was put or changed in the same turn.",
        "the highest id outlives all jobs":
            "Store the highest id by itself: `recover` answers it also when all jobs, and so their ids, are gone.",
        "what came back can be changed, deleted and added to":
            "The note given with a recovered job is the one that comes with its next change: it must lead to the job again.",
        "admit changes nothing, and true is a promise":
            "`admit` is a question: take no room for it before the put comes.",
        "every turn is closed, and tickets ascend to completion":
            "Tickets never go down, `completed` answers none that wasn't given out, and every one is complete in the end, also "
            + "where no other change follows.",
        "wake is called when a ticket completes":
            "The server sleeps until `wake`: call it after each ticket that completes.",
        "close may come twice, early, and makes safe what is pending":
            "`close` waits until all that was committed is safe; where nothing is open it does nothing.",
        "questions can be asked at any time":
            "`is_congested`, `segment` and `statistics` are asked at any time between `open` and `close`, and must agree with "
            + "each other.",
        "a place in use is refused as locked":
            "`open` takes a lock that lasts until `close`, before it looks at anything else: flock on a file, or fcntl with "
            + "F_OFD_SETLK. The record locks of fcntl (F_SETLK) and lockf won't do: they don't hold against the same process, "
            + "and are gone when it closes any descriptor of the file.",
        "a read-only open gives the same, and changes nothing":
            "A read-only `open` neither makes nor mends anything, and `recover` and `close` write nothing after it: leave to "
            + "the next serving open what is to be cut, migrated or counted. Whatever lock it takes ends with `close`.",
        "a random life with restarts":
            "Each single kind of change works; some sequence of them doesn't. The seed and the turn say which.",
        ManyJobs.rule:
            "With few jobs it works: look for what overflows, is looked up by a part of the id, or is cut at a limit.",
        StorageCrashTest.rule:
            "`commit` answered that a change is durable, or `completed` its ticket, before the change was handed to the system. "
            + "For this test a write is enough; against a power failure only fdatasync is.",
        FullDiskTest.rule:
            "Only `admit` may say no. Keep free what an update and a delete of every live job take, and what is needed to "
            + "make room again; once `append` was called it is too late.",
    ]
}
