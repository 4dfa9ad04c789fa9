// SPDX-License-Identifier: MIT
// The example plugin with a fault of one's choice: one for each rule that `trellisd plugins test storage` looks at, and
// some for the server. Each breaks the rule that it is named after, and none that is looked at before that.

#define SLOTS_WITHOUT_ENTRY
#include "../../../Examples/c-storage/slots.c"

#include <signal.h>

enum fault {
    NONE,
    INVENTS_A_JOB,
    JOINS_LINES,
    CUTS_NUMBERS,
    UPDATES_LOSE_THE_BODY,
    MOVES_KEEP_THE_TUBE,
    FORGETS_DELETES,
    FORGETS_THE_HIGHEST_ID,
    LOSES_NOTES,
    ADMISSIONS_USE_ROOM,
    COMPLETES_WHAT_IS_TO_COME,
    NEVER_WAKES,
    CLOSES_IN_A_HURRY,
    COUNTS_SEGMENTS_BACKWARDS,
    SHARES_THE_PLACE,
    READING_SKIPS_BURIED,
    READING_EMPTIES_THE_FILE,
    LOSES_THE_FORTIETH_UPDATE,
    DROPS_HIGH_IDS,
    ANSWERS_TOO_SOON,
    PROMISES_ROOM,
    // For the server.
    OPEN_FAILS,
    COMMIT_FAILS,
    COMMIT_ANSWERS_NONSENSE,
    GIVES_A_BAD_JOB,
    SLEEPS,
    CRASHES,
};

static const char *const fault_names[] = {
    "none", "invents-a-job", "joins-lines", "cuts-numbers", "updates-lose-the-body", "moves-keep-the-tube", "forgets-deletes",
    "forgets-the-highest-id", "loses-notes", "admissions-use-room", "completes-what-is-to-come", "never-wakes",
    "closes-in-a-hurry", "counts-segments-backwards", "shares-the-place", "reading-skips-buried",
    "reading-empties-the-file", "loses-the-fortieth-update", "drops-high-ids", "answers-too-soon", "promises-room",
    "open-fails", "commit-fails", "commit-answers-nonsense", "gives-a-bad-job", "sleeps", "crashes", NULL,
};

// Of the store that was opened last. A second one at the same time has the same fault, and is only to be refused.
static enum fault fault;
static bool is_reading;
static unsigned admissions, updates, commits;
static uint64_t newest;

static const uint64_t RECOVERED = (uint64_t)1 << 63;

static int32_t faulty_open(
    const struct trellis_open *request, struct trellis_store **store, char *error, size_t capacity
) {
    const char *name = value(request, "fault")->text;
    for (fault = NONE; strcmp(fault_names[fault], name) != 0; fault++) {}
    admissions = commits = 0;
    newest = 0;
    if (fault == OPEN_FAILS) return fail(TRELLIS_FATAL, error, capacity, "the disk isn't there");
    // Opened to write where a file is, for there is something to be spoilt.
    struct trellis_open writing = *request;
    writing.read_only = false;
    bool is_spoilt = fault == READING_EMPTIES_THE_FILE && request->read_only && access(value(request, "path")->text, F_OK) == 0;
    int32_t status = slots_open(is_spoilt ? &writing : request, store, error, capacity);
    if (status != TRELLIS_OK) return status;
    is_reading = request->read_only;
    if (fault == SHARES_THE_PLACE) flock((*store)->file, LOCK_UN);
    return TRELLIS_OK;
}

struct receiver {
    trellis_deliver deliver;
    void *context;
    uint64_t count, highest;
};

static void receive(void *context, const struct trellis_job *original, uint64_t note) {
    struct receiver *receiver = context;
    struct trellis_job job = *original;
    if (fault == DROPS_HIGH_IDS && job.id >= 1000 && job.id < (uint64_t)1 << 62) return;
    if (fault == READING_SKIPS_BURIED && is_reading && job.state == TRELLIS_BURIED) return;
    if (fault == CUTS_NUMBERS) job.priority &= 0x7fffffff;
    receiver->count++;
    if (job.id > receiver->highest) receiver->highest = job.id;
    receiver->deliver(receiver->context, &job, fault == LOSES_NOTES ? note | RECOVERED : note);
}

static int32_t faulty_recover(
    struct trellis_store *store, trellis_deliver deliver, void *context, uint64_t *highest_id, char *error,
    size_t capacity
) {
    struct receiver receiver = {.deliver = deliver, .context = context};
    int32_t status = slots_recover(store, receive, &receiver, highest_id, error, capacity);
    struct trellis_job job = {
        .size = sizeof job, .id = 1, .tube = "default", .tube_bytes = 7, .state = TRELLIS_READY, .ttr = 1, .sequence = 1,
    };
    if (fault == GIVES_A_BAD_JOB) job.state = 9;
    if (fault == GIVES_A_BAD_JOB || (fault == INVENTS_A_JOB && receiver.count == 0)) deliver(context, &job, 0);
    if (fault == FORGETS_THE_HIGHEST_ID) *highest_id = receiver.highest;
    return status;
}

static bool faulty_admit(struct trellis_store *store, size_t body_bytes, size_t tube_bytes) {
    if (fault == ADMISSIONS_USE_ROOM && ++admissions > 500) return false;
    if (fault == PROMISES_ROOM && body_bytes <= store->head.slot_bytes - SECTOR) return true;
    return slots_admit(store, body_bytes, tube_bytes);
}

static void faulty_append(
    struct trellis_store *store, uint32_t kind, const struct trellis_job *original, uint64_t *note
) {
    struct trellis_job job = *original;
    if (fault == LOSES_NOTES && *note & RECOVERED) {
        if (kind == TRELLIS_UPDATE) return;
        *note &= ~RECOVERED;
    }
    if (fault == CRASHES && kind == TRELLIS_DELETE) raise(SIGSEGV);
    if (fault == PROMISES_ROOM && kind == TRELLIS_PUT && store->free_count == 0) {
        store->is_broken = true;
        return;
    }
    if (fault == FORGETS_DELETES && kind == TRELLIS_DELETE) return;
    if (fault == LOSES_THE_FORTIETH_UPDATE && kind == TRELLIS_UPDATE && ++updates % 40 == 0) return;
    if (fault == JOINS_LINES && job.body_bytes == 2 && job.body != NULL && memcmp(job.body, "\r\n", 2) == 0) {
        job.body = "\n";
        job.body_bytes = 1;
    }
    if (fault == UPDATES_LOSE_THE_BODY && kind == TRELLIS_UPDATE) {
        store->slots[*note].body_bytes = 0;
        store->slots[*note].body_check = checksum(NULL, 0);
    }
    if (fault == MOVES_KEEP_THE_TUBE && kind == TRELLIS_MOVE) kind = TRELLIS_UPDATE;
    slots_append(store, kind, &job, note);
}

static int32_t faulty_commit(struct trellis_store *store, uint64_t *ticket, char *error, size_t capacity) {
    size_t changes = store->write_count;
    switch (fault) {
    case COMMIT_FAILS:
        commits += changes > 0;
        return commits > 3 ? fail(TRELLIS_FATAL, error, capacity, "the disk went away") : slots_commit(store, ticket, error, capacity);
    case SLEEPS:
        while (changes > 0) pause();
        return slots_commit(store, ticket, error, capacity);
    case COMMIT_ANSWERS_NONSENSE: return changes > 0 ? 77 : TRELLIS_OK;
    case ANSWERS_TOO_SOON: return ++commits % 8 == 0 ? slots_commit(store, ticket, error, capacity) : TRELLIS_OK;
    case COMPLETES_WHAT_IS_TO_COME:
    case NEVER_WAKES:
    case CLOSES_IN_A_HURRY:
        newest += changes > 0;
        *ticket = newest;
        if (fault != NEVER_WAKES) store->host->wake(store->host->context);
        return TRELLIS_PENDING;
    default: return slots_commit(store, ticket, error, capacity);
    }
}

static int32_t faulty_completed(struct trellis_store *store, uint64_t *ticket, char *error, size_t capacity) {
    *ticket = fault == COMPLETES_WHAT_IS_TO_COME ? newest + 1 : newest;
    return slots_commit(store, NULL, error, capacity);
}

static uint64_t faulty_segment(struct trellis_store *store, uint64_t note) {
    (void)store, (void)note;
    return fault == COUNTS_SEGMENTS_BACKWARDS ? 7 : 0;
}

static int32_t faulty_close(struct trellis_store *store, char *error, size_t capacity) {
    while (fault == CLOSES_IN_A_HURRY && store->write_count > 0) free(store->writes[--store->write_count].data);
    if (fault == READING_EMPTIES_THE_FILE && is_reading && ftruncate(store->file, 0) != 0) abort();
    return slots_close(store, error, capacity);
}

static void faulty_validate(
    const struct trellis_value *values, size_t value_count, trellis_fault refuse, void *context
) {
    for (size_t index = 0; index < value_count; index++) {
        if (strcmp(values[index].key, "slots") == 0 && values[index].number == 13) {
            refuse(context, "slots", "is 13, which brings bad luck");
        }
    }
}

static struct trellis_option faulty_options[sizeof options / sizeof options[0] + 1];
static struct trellis_storage faulty_storage;
static struct trellis_plugin faulty_plugin;

const struct trellis_plugin *trellis_plugin_at(uint32_t index) {
    memcpy(faulty_options, options, sizeof options);
    faulty_options[sizeof options / sizeof options[0]] = (struct trellis_option){
        .size = sizeof(struct trellis_option), .key = "fault", .type = TRELLIS_CHOICE,
        .default_kind = TRELLIS_DEFAULT_TEXT, .default_text = "none", .choices = fault_names,
        .documentation = "What is to go wrong.",
    };
    faulty_storage = (struct trellis_storage){
        .size = sizeof faulty_storage, .open = faulty_open, .recover = faulty_recover, .admit = faulty_admit,
        .append = faulty_append, .commit = faulty_commit, .completed = faulty_completed, .segment = faulty_segment,
        .statistics = slots_statistics, .close = faulty_close, .validate = faulty_validate,
    };
    faulty_plugin = plugin;
    faulty_plugin.name = "faulty";
    faulty_plugin.options = faulty_options;
    faulty_plugin.option_count++;
    faulty_plugin.storage = &faulty_storage;
    return index == 0 ? &faulty_plugin : NULL;
}
