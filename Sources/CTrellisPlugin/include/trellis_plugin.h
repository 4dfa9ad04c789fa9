// SPDX-License-Identifier: MIT
//
// The C interface of plugins that trellisd loads from a shared object.
//
// This header is all that such a plugin needs: it links against nothing of Trellis. docs/plugins/storage.md and
// docs/plugins/scheduler.md are the guides, Examples/c-storage and Examples/c-scheduler whole plugins, and `trellisd
// plugins test storage ./libmine.so` the test.
//
//     cc -std=c11 -fPIC -shared -fvisibility=hidden -I Sources/CTrellisPlugin/include -o libmine.so mine.c
//
// The file is named, by its absolute path, in the configuration:
//
//     plugins: [/usr/lib/trellis/libmine.so]
//     storage: {use: mine}
//
// THE RULES FOR ALL FUNCTIONS
//
// Threads. The server calls a store or a scheduler from one thread at a time, but not always from the same one: what a call leaves for
// the next must not be thread-local. A store may have threads of its own; they must have ended when `close` returns. They
// inherit a signal mask in which the server's signals are blocked, and must leave it so.
//
// Lifetimes. What the server passes in (structs, names, bodies, error buffers) is valid until the function returns, and
// `host` from `open` until `close` returns. What a plugin passes in (a job to `deliver`) has to be valid until that call
// returns. Tables, descriptions and their strings must stay valid for ever: the shared object is never unloaded.
//
// Errors. A function that can fail answers one of the TRELLIS_ statuses, and where that is an error it writes one line of
// text, what failed and where, to `error`: at most `capacity` bytes with the NUL that ends it (snprintf does that; the
// server cuts what has no end). It is shown to the operator behind the plugin's id and the name of the function. No C++
// exception, Rust panic or longjmp may leave a function.
//
// Text. Names of tubes and bodies are bytes with a length and no NUL behind them; everything else is UTF-8 and ends in NUL.
//
// Growth. Every struct begins with the size that it had for the one who filled it in, and grows at its end only. Set
// `size` to sizeof of the struct, and leave what you don't use 0 (`struct trellis_storage table = {.size = sizeof table,
// ...}` does both). Before you read a field that came later than version 1 of this header, look whether `size` covers it.
// TRELLIS_ABI_VERSION changes only where an old plugin could not work any more.

#ifndef TRELLIS_PLUGIN_H
#define TRELLIS_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The version of this interface. A server loads plugins of its own version only.
#define TRELLIS_ABI_VERSION 1

// ---------------------------------------------------------------------------------------------------------------------
// Statuses
// ---------------------------------------------------------------------------------------------------------------------

/// Done. From `commit`: all that was appended is safe, and clients may be told.
#define TRELLIS_OK 0
/// From `commit` only: it will be safe when `completed` answers the ticket.
#define TRELLIS_PENDING 1
/// There is no room. From `open` only: during service `admit` says so. Exit status 1 of the server.
#define TRELLIS_FULL 2
/// What is stored is damaged, or contradicts the options; the text names the place, and what to do. Exit status 1.
#define TRELLIS_CORRUPT 3
/// The store is in use by another process; the text names what is locked. Exit status 10.
#define TRELLIS_LOCKED 4
/// Anything else that ends service: a failed write or sync, a lost connection. Exit status 20; clients whose changes
/// aren't safe are told so, and the service manager starts the server again.
#define TRELLIS_FATAL 5

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/// What an option may hold.
enum trellis_option_type {
    /// Any text.
    TRELLIS_TEXT = 1,
    /// A path; a relative one counts from the folder that the server was started in. The tests of `plugins test` put
    /// such options into a folder of their own.
    TRELLIS_PATH = 2,
    /// A whole number from `minimum` to `maximum`.
    TRELLIS_INTEGER = 3,
    /// A count of bytes from `minimum` to `maximum`, written 512, 64KiB, 4GiB.
    TRELLIS_SIZE = 4,
    /// A time from `minimum` to `maximum` in nanoseconds, written 50ms, 10s, 5m, 2h.
    TRELLIS_DURATION = 5,
    /// true or false: the number 1 or 0.
    TRELLIS_BOOLEAN = 6,
    /// One of the words in `choices`.
    TRELLIS_CHOICE = 7,
    /// One of the words in `choices` (`text` is set), or a time (`text` is NULL).
    TRELLIS_CHOICE_OR_DURATION = 8,
    /// One of the words in `choices` (`text` is set), or a whole number (`text` is NULL).
    TRELLIS_CHOICE_OR_INTEGER = 9,
    /// Permission bits, written in octal ("0660").
    TRELLIS_FILE_MODE = 10
};

/// What holds where the configuration says nothing.
enum trellis_option_default {
    /// Nothing: the option is absent from the values.
    TRELLIS_NO_DEFAULT = 0,
    /// The configuration must give it.
    TRELLIS_REQUIRED = 1,
    /// `default_text`.
    TRELLIS_DEFAULT_TEXT = 2,
    /// `default_number`.
    TRELLIS_DEFAULT_NUMBER = 3
};

/// One option of a plugin. The server reads, checks and documents options by this; a plugin gets values that fit.
struct trellis_option {
    /// sizeof(struct trellis_option). The same in all options of a plugin.
    size_t size;
    /// The key in the configuration: lower-case letters, digits and hyphens, and not "use".
    const char *key;
    /// One of enum trellis_option_type.
    uint32_t type;
    /// One of enum trellis_option_default.
    uint32_t default_kind;
    /// The default of a text, a path or a word.
    const char *default_text;
    /// The default of a number: bytes, nanoseconds, 0 or 1, permission bits.
    int64_t default_number;
    /// The range of a number.
    int64_t minimum;
    int64_t maximum;
    /// The words of a choice, a NULL behind the last.
    const char *const *choices;
    /// One or two sentences for the person who writes the configuration.
    const char *documentation;
};

/// The value of an option, given or default.
struct trellis_value {
    size_t size;
    const char *key;
    /// The text, path or word; NULL where the value is a number.
    const char *text;
    /// The number: bytes, nanoseconds, 0 or 1, permission bits.
    int64_t number;
};

// ---------------------------------------------------------------------------------------------------------------------
// What a store is told, and tells
// ---------------------------------------------------------------------------------------------------------------------

/// A store's own state: what `open` makes and the other functions get. Only the plugin looks inside.
struct trellis_store;

/// Where a job stands. A reserved job is stored as it was logged last and comes back ready.
enum trellis_state {
    TRELLIS_READY = 1,
    TRELLIS_DELAYED = 2,
    TRELLIS_BURIED = 3
};

/// All of a job that must survive a restart. Every field has to come back as it was given.
struct trellis_job {
    size_t size;
    /// 1 to 2^62. Never given out again.
    uint64_t id;
    /// The name of its tube, 1 to 200 bytes.
    const char *tube;
    size_t tube_bytes;
    /// The body, and its length. In an update and a delete, not in a move, the pointer is NULL: the body is what it was, and the length
    /// is set all the same.
    const void *body;
    size_t body_bytes;
    /// One of enum trellis_state.
    uint32_t state;
    /// 0 is the most urgent.
    uint32_t priority;
    /// The delay asked for last, in seconds.
    uint32_t delay;
    /// Time to run, in seconds, at least 1.
    uint32_t ttr;
    /// When it was put, in nanoseconds since 1970.
    int64_t created_at;
    /// When a delayed job is ready, in nanoseconds since 1970; else 0.
    int64_t deadline;
    /// The number of the change that brought it to its state. Buried jobs are kicked in this order.
    uint64_t sequence;
    /// How often it was reserved, timed out, released, buried and kicked.
    uint32_t reserves;
    uint32_t timeouts;
    uint32_t releases;
    uint32_t buries;
    uint32_t kicks;
    /// How many deliveries failed since the put, the last kick or the last move, where the tube counts them: 0 to 255.
    uint32_t failures;
};

/// What happened to a job.
enum trellis_change {
    /// A new job, whole.
    TRELLIS_PUT = 1,
    /// Its state, priority, delay, deadline, sequence or counters changed; tube, ttr, creation and body did not.
    TRELLIS_UPDATE = 2,
    /// It is gone.
    TRELLIS_DELETE = 3,
    /// It is in another tube now: whole, as in a put, under the id that it has. Its body, ttr and creation are as before. After a
    /// crash it must be in one of both tubes, and in no case in neither.
    TRELLIS_MOVE = 4
};

/// How urgent a line for the operator is.
enum trellis_level {
    TRELLIS_INFO = 0,
    TRELLIS_WARNING = 1
};

/// What a store may ask of the server. From any thread, from the beginning of `open` until `close` returns.
struct trellis_host {
    size_t size;
    /// To be passed to the functions below.
    void *context;
    /// Makes the server ask `completed`, `is_congested` and `maintain` soon. Call it after each ticket that completes.
    void (*wake)(void *context);
    /// Writes a line for the operator; enum trellis_level says how urgent it is.
    void (*report)(void *context, uint32_t level, const char *text);
};

/// What `open` is to open.
struct trellis_open {
    size_t size;
    /// Valid until `close` returns.
    const struct trellis_host *host;
    /// Every option that was given or has a default, in the order of the schema. Valid during `open` only.
    const struct trellis_value *values;
    size_t value_count;
    /// A tool wants to read: nothing of it is changed or made, and only `recover` and `close` follow.
    ///
    /// `recover` gives the same as it would to a server. Where nothing is, it is an error or an empty store.
    bool read_only;
};

/// The numbers of a store that `stats` shows; leave 0 what makes no sense for yours.
struct trellis_statistics {
    size_t size;
    /// The number of the oldest segment (file of a log) that is needed, and that of the one being written.
    uint64_t oldest_segment;
    uint64_t current_segment;
    /// Records copied by compaction, and records written, since `open`.
    uint64_t records_migrated;
    uint64_t records_written;
    /// The size of a segment. Where it is 0, `stats` leaves out what follows.
    uint64_t segment_bytes;
    /// What the store takes on the disk, without room kept ready, and what of it the live jobs need.
    uint64_t log_bytes;
    uint64_t live_bytes;
    /// Syncs that took longer than 100 ms.
    uint64_t slow_syncs;
};

/// Takes a recovered job, and eight bytes that the server is to keep with it for the store (its `note`).
typedef void (*trellis_deliver)(void *context, const struct trellis_job *job, uint64_t note);

/// Shown a live job, whole and as it stands now; may change its note.
typedef void (*trellis_shown)(void *context, const struct trellis_job *job, uint64_t *note);

/// Shows the job with that id to `shown`, at once; false where there is no such job. `server` is what `maintain` got;
/// `context` is the store's own.
typedef bool (*trellis_show)(void *server, uint64_t id, trellis_shown shown, void *context);

/// Takes a fault of an option: its key, and what is wrong, to be read behind the key ("must lie on a local disk").
typedef void (*trellis_fault)(void *context, const char *key, const char *message);

// ---------------------------------------------------------------------------------------------------------------------
// The functions of a store
// ---------------------------------------------------------------------------------------------------------------------

/// A store keeps jobs across restarts.
///
/// The calling order is a law: `open`; `recover` once; then turns, each of `admit` and `append` in any number, followed by
/// one `maintain` and one `commit`, also where nothing changed; `completed`, `is_congested`, `segment` and `statistics` at
/// any time; at last `close`. A tool that only fills a store leaves `maintain` out. Any number of stores may be open at
/// once, each by an `open` of its own.
///
/// A function that is optional may be NULL; the others must be there.
struct trellis_storage {
    /// sizeof(struct trellis_storage).
    size_t size;

    /// Takes hold of what is stored: locks, opens, checks; makes it where there is none. Sets `*store`. After an error
    /// nothing is left open, and `close` isn't called.
    ///
    /// From here until `close`, another `open` of the same place to serve from, in this process or another, is refused as
    /// locked or waits until the place is free; the first store isn't touched by it. One to read is refused so, too, or
    /// gives all that was committed. A store that keeps nothing needs no lock.
    int32_t (*open)(
        const struct trellis_open *request, struct trellis_store **store, char *error, size_t capacity);

    /// Calls `deliver` with every live job, once, in any order, and sets `*highest_id` to the highest id ever given out,
    /// also where the job is long gone; 0 for none.
    int32_t (*recover)(
        struct trellis_store *store, trellis_deliver deliver, void *context, uint64_t *highest_id, char *error,
        size_t capacity);

    /// Whether a put of a body of so many bytes into a tube with a name of so many bytes fits, or a move of such a job. It may be asked without a
    /// change coming of it; but where one does, it comes next, and true is a promise.
    ///
    /// Keep free what updates and deletes of all live jobs need: they are never asked about.
    bool (*admit)(struct trellis_store *store, size_t body_bytes, size_t tube_bytes);

    /// Takes one change; `kind` is one of enum trellis_change. May set the job's note, which comes back with its next
    /// change. Copy what you need: the buffers are the server's. The server waits for it: no I/O here.
    ///
    /// It can't fail. Once taken, a change becomes durable, or the store fails for good in `commit` or `completed`.
    void (*append)(struct trellis_store *store, uint32_t kind, const struct trellis_job *job, uint64_t *note);

    /// Optional. One step of what can wait, such as compaction, well below a millisecond; sets `*more` where there is
    /// more to do at once. `show` shows live jobs, for which `server` is to be passed to it.
    int32_t (*maintain)(
        struct trellis_store *store, trellis_show show, void *server, bool *more, char *error, size_t capacity);

    /// Closes the turn. TRELLIS_OK: all that was appended is durable. TRELLIS_PENDING: it is when `completed` answers
    /// `*ticket`, a number that never goes down. Nothing is told to clients before it is durable.
    int32_t (*commit)(struct trellis_store *store, uint64_t *ticket, char *error, size_t capacity);

    /// Optional where `commit` never answers TRELLIS_PENDING. Sets `*ticket` to the newest one that is complete. What a
    /// thread of the store failed to write is told here.
    int32_t (*completed)(struct trellis_store *store, uint64_t *ticket, char *error, size_t capacity);

    /// Optional. Whether so much is on its way to the disk that clients must wait. Wake the server when that ends.
    bool (*is_congested)(struct trellis_store *store);

    /// Optional. The segment that a job with this note lies in, for `stats-job`.
    uint64_t (*segment)(struct trellis_store *store, uint64_t note);

    /// Optional. Fills in the numbers for `stats`.
    void (*statistics)(struct trellis_store *store, struct trellis_statistics *statistics);

    /// Makes durable what is pending, lets go of everything and frees the store, also where it answers an error. Called
    /// once for each `open` that answered TRELLIS_OK; maybe before `recover`, and maybe after an error.
    int32_t (*close)(struct trellis_store *store, char *error, size_t capacity);

    /// Optional. Looks at values that passed the schema and calls `fault` for each one that can't be used, before
    /// anything is opened. Must change nothing, and look at nothing but the values.
    void (*validate)(const struct trellis_value *values, size_t value_count, trellis_fault fault, void *context);
};

// ---------------------------------------------------------------------------------------------------------------------
// Schedulers
// ---------------------------------------------------------------------------------------------------------------------

/// A scheduler's own state: what `open` makes and the other functions get. Only the plugin looks inside.
struct trellis_order;

/// What `open` of a scheduler is told.
struct trellis_order_open {
    size_t size;
    /// Every option that was given or has a default, in the order of the schema. Valid during `open` only.
    const struct trellis_value *values;
    size_t value_count;
};

/// A tube, and what the operator has said of it.
struct trellis_tube {
    size_t size;
    /// Its name; NULL in `tube_changed`.
    const char *name;
    size_t name_bytes;
    /// Its place in the server's table: small, dense, and used again when the tube is gone.
    uint32_t index;
    /// Its share of the workers beside other tubes, at least 1.
    uint32_t weight;
    /// How soon after its put a job should be reserved, in nanoseconds; -1 where nobody said.
    int64_t objective;
};

/// A ready job.
struct trellis_ready_job {
    size_t size;
    /// Its number; earlier puts have lower ones.
    uint64_t id;
    /// When it was put, on the clock of `advance`; perhaps before its zero.
    int64_t created_at;
    /// Its place in the server's table: small, dense, and used again when the job is gone. What `pick` answers.
    uint32_t slot;
    /// The index of its tube.
    uint32_t tube;
    /// 0 is the most urgent.
    uint32_t priority;
    uint32_t unused;
};

/// A watch list. Equal lists are one set.
struct trellis_watch_set {
    size_t size;
    /// The watched tubes, at least one, each once, in the order in which they were watched.
    const uint32_t *tubes;
    size_t tube_count;
    /// The place of the set in the server's table: small, dense, and used again for another list.
    uint32_t index;
    uint32_t unused;
};

/// How a reservation ended.
enum trellis_outcome {
    TRELLIS_DELETED = 1,
    TRELLIS_RELEASED = 2,
    TRELLIS_BURIED_BY_WORKER = 3,
    TRELLIS_TIMED_OUT = 4,
    TRELLIS_CONNECTION_LOST = 5
};

/// What `pick` and `peek` answer where there is no job.
#define TRELLIS_NO_JOB UINT32_MAX

/// A scheduler owns the order of ready jobs: it hears of every job that becomes ready and of every one that stops being
/// so, and answers which is next.
///
/// The calling order is a law. `open` comes first, `close` at last. For one job: `ready`, then either `removed` or
/// `reserved`. A job that a worker reserves by its id is `removed` if it was ready, and then, whatever state it was in,
/// `reserved_by_id`. Each of the two is followed by one `finished`, after which the job may become ready again.
/// `tube_opened` comes before all else of a tube, and `tube_closed` when nothing of it is left. Tubes begin eligible.
///
/// No function may do I/O, look at a clock, or draw random numbers from anywhere but a seed: the same calls must give the
/// same answers. None may cost in proportion to the number of tubes or jobs; `pick` and `reserved` may in proportion to the
/// watched tubes.
///
/// The server checks each answer of `pick` and `peek`. One that can't be (a job that isn't ready, a tube that isn't watched
/// or may not be served, no job where there is one) ends the scheduler's service: the server says so in one line and goes on
/// in the order of priorities until it is started again. So one that has no memory left answers TRELLIS_NO_JOB.
///
/// A function that is optional may be NULL; the others must be there.
struct trellis_scheduler {
    /// sizeof(struct trellis_scheduler).
    size_t size;

    /// Makes a scheduler without tubes and sets `*order`. After an error the server doesn't start.
    int32_t (*open)(
        const struct trellis_order_open *request, struct trellis_order **order, char *error, size_t capacity);

    /// Optional. What time it is from now on, in nanoseconds of a clock that never goes back. Called once a turn.
    void (*advance)(struct trellis_order *order, int64_t now);

    /// A tube came into being.
    void (*tube_opened)(struct trellis_order *order, const struct trellis_tube *tube);

    /// Optional. The operator has changed what holds for a tube, which may have jobs in any state.
    void (*tube_changed)(struct trellis_order *order, const struct trellis_tube *tube);

    /// A tube is gone; it holds no job.
    void (*tube_closed)(struct trellis_order *order, uint32_t tube);

    /// The job is ready.
    void (*ready)(struct trellis_order *order, const struct trellis_ready_job *job);

    /// A ready job is gone without having been picked: deleted, or about to be reserved by its id.
    void (*removed)(struct trellis_order *order, const struct trellis_ready_job *job);

    /// A job that `pick` answered for the watch list was given to a worker.
    void (*reserved)(
        struct trellis_order *order, const struct trellis_ready_job *job, const struct trellis_watch_set *watched);

    /// Optional. A job that isn't ready (any more) was given to a worker who asked for its id.
    void (*reserved_by_id)(struct trellis_order *order, const struct trellis_ready_job *job);

    /// Optional. A reservation ended, so many nanoseconds after it began; `outcome` is one of enum trellis_outcome.
    void (*finished)(
        struct trellis_order *order, const struct trellis_ready_job *job, uint32_t outcome, int64_t service);

    /// Whether the tube may be served from now on: it isn't while it is paused or at a limit, and `pick` passes over it.
    void (*eligible)(struct trellis_order *order, uint32_t tube, bool is_eligible);

    /// The slot of the job that a worker with this watch list gets next, or TRELLIS_NO_JOB where no eligible tube of it has
    /// one. Changes nothing that can be seen: the server may ask and not take.
    uint32_t (*pick)(struct trellis_order *order, const struct trellis_watch_set *watched);

    /// The slot of the tube's ready job that is next in order, whether the tube is eligible or not. Changes nothing.
    uint32_t (*peek)(struct trellis_order *order, uint32_t tube);

    /// Frees the scheduler, which may still have jobs. Called at most once for each `open` that answered TRELLIS_OK.
    void (*close)(struct trellis_order *order);

    /// Optional. As `validate` of a store.
    void (*validate)(const struct trellis_value *values, size_t value_count, trellis_fault fault, void *context);
};

// ---------------------------------------------------------------------------------------------------------------------
// The plugin
// ---------------------------------------------------------------------------------------------------------------------

/// What a plugin says of itself.
struct trellis_plugin {
    /// sizeof(struct trellis_plugin). This field and the next stay where they are in every version.
    size_t size;
    /// TRELLIS_ABI_VERSION.
    uint32_t abi_version;
    /// How many options there are.
    uint32_t option_count;
    /// The options, in the order in which they are documented; may be NULL where there are none.
    const struct trellis_option *options;
    /// Which contract it fulfils: "storage" or "scheduler".
    const char *kind;
    /// The word behind `use:`: lower-case letters, digits and hyphens.
    const char *name;
    /// Its version, for people.
    const char *version;
    /// One line: what it is.
    const char *summary;
    /// The functions of a plugin of the kind "storage".
    const struct trellis_storage *storage;
    /// The functions of a plugin of the kind "scheduler".
    const struct trellis_scheduler *scheduler;
};

#if defined(__GNUC__)
#define TRELLIS_EXPORT __attribute__((visibility("default")))
#else
#define TRELLIS_EXPORT
#endif

/// The one symbol that a shared object exports: answers its plugin number `index`, counted from 0, and NULL behind the
/// last. Called at the start, before anything is configured: it must do nothing else.
TRELLIS_EXPORT const struct trellis_plugin *trellis_plugin_at(uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
