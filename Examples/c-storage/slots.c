// SPDX-License-Identifier: MIT
// A storage plugin for trellisd in C: a file of slots, one for each job. Build and test it:
//
//     cc -std=c11 -O2 -Wall -fPIC -shared -fvisibility=hidden -I ../../Sources/CTrellisPlugin/include -o libslots.so slots.c
//     trellisd plugins test storage ./libslots.so
//
// The file is made whole, so that no change can fail for lack of room once its slot is taken. A slot begins with a sector
// that holds all of the job but its body; a disk writes a sector whole or not at all, so that an update, which changes
// only that, can't be torn. A put can: its body has a checksum, and a slot whose body doesn't match was never
// acknowledged. Jobs that don't fit into a slot are refused.

#define _GNU_SOURCE
#include "trellis_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { SECTOR = 512, LONGEST_TUBE = 200 };

/// The first sector of the file.
struct file_head {
    char magic[8];
    uint64_t slots, slot_bytes;
    uint64_t highest_id;
};

/// The first sector of a slot.
struct slot_head {
    /// Over all that follows; `body_check` over the body.
    uint64_t check, body_check;
    /// 0 where the slot is free.
    uint64_t id;
    uint64_t body_bytes, sequence;
    int64_t created_at, deadline;
    uint16_t state, failures;
    uint32_t priority, delay, ttr, reserves, timeouts, releases, buries, kicks, tube_bytes;
    char tube[LONGEST_TUBE];
};

_Static_assert(sizeof(struct slot_head) <= SECTOR, "the head of a slot must fit into a sector");

/// What is to be written when the turn is closed: the head of a slot, maybe with its body.
struct write {
    uint64_t slot;
    size_t bytes;
    unsigned char *data;
};

struct trellis_store {
    const struct trellis_host *host;
    int file;
    struct file_head head;
    /// The heads of all slots, as they are with the changes of this turn.
    struct slot_head *slots;
    /// The numbers of the free ones.
    uint64_t *free, free_count;
    struct write *writes;
    size_t write_count, write_room;
    uint64_t records_written;
    /// Whether memory ran out in `append`, which can't say so.
    bool is_broken;
};

static const char MAGIC[8] = "slots 1";

/// Writes the text of an error and answers its status.
__attribute__((format(printf, 4, 5)))
static int32_t fail(int32_t status, char *error, size_t capacity, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, capacity, format, arguments);
    va_end(arguments);
    return status;
}

/// FNV-1a.
static uint64_t checksum(const void *data, size_t count) {
    const unsigned char *bytes = data;
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t index = 0; index < count; index++) sum = (sum ^ bytes[index]) * 0x100000001b3;
    return sum;
}

static uint64_t head_checksum(const struct slot_head *head) {
    return checksum(&head->body_check, sizeof *head - offsetof(struct slot_head, body_check));
}

static off_t offset_of(const struct trellis_store *store, uint64_t slot) {
    return SECTOR + (off_t)(slot * store->head.slot_bytes);
}

/// Writes all of it, or sets errno.
static bool write_all(int file, const void *data, size_t count, off_t offset) {
    const char *bytes = data;
    while (count > 0) {
        ssize_t done = pwrite(file, bytes, count, offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        bytes += done, offset += done, count -= (size_t)done;
    }
    return true;
}

static bool read_all(int file, void *data, size_t count, off_t offset) {
    char *bytes = data;
    while (count > 0) {
        ssize_t done = pread(file, bytes, count, offset);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = ENODATA;
        if (done <= 0) return false;
        bytes += done, offset += done, count -= (size_t)done;
    }
    return true;
}

static void release(struct trellis_store *store) {
    for (size_t index = 0; index < store->write_count; index++) free(store->writes[index].data);
    // Closing alone would leave the lock to a process that is just being started, for as long as it shares the file.
    if (store->file >= 0) flock(store->file, LOCK_UN), close(store->file);
    free(store->writes);
    free(store->slots);
    free(store->free);
    free(store);
}

static const struct trellis_value *value(const struct trellis_open *request, const char *key) {
    for (size_t index = 0; index < request->value_count; index++) {
        if (strcmp(request->values[index].key, key) == 0) return &request->values[index];
    }
    // Every option of this plugin has a default.
    abort();
}

/// Brings the folder to the disk, without which the file might be gone after a power failure.
static bool sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    int descriptor = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = descriptor >= 0 && fsync(descriptor) == 0;
    if (descriptor >= 0) close(descriptor);
    free(folder);
    return is_synced;
}

/// Gives a new file its size on the disk and its first sector.
static bool make(struct trellis_store *store, const char *path, uint64_t slots, uint64_t slot_bytes) {
    memcpy(store->head.magic, MAGIC, sizeof MAGIC);
    store->head.slots = slots;
    store->head.slot_bytes = slot_bytes;
    errno = posix_fallocate(store->file, 0, offset_of(store, slots));
    if (errno != 0) return false;
    // The magic word comes last: a file without it was never finished, and is begun again.
    return fdatasync(store->file) == 0 && sync_folder_of(path)
        && write_all(store->file, &store->head, sizeof store->head, 0) && fdatasync(store->file) == 0;
}

static int32_t slots_open(
    const struct trellis_open *request, struct trellis_store **result, char *error, size_t capacity
) {
    const char *path = value(request, "path")->text;
    uint64_t slots = (uint64_t)value(request, "slots")->number;
    // Whole sectors.
    uint64_t slot_bytes = ((uint64_t)value(request, "slot-size")->number + SECTOR - 1) / SECTOR * SECTOR;
    struct trellis_store *store = calloc(1, sizeof *store);
    if (store == NULL) return fail(TRELLIS_FATAL, error, capacity, "there is no memory");
    int32_t status = TRELLIS_FATAL;
    store->host = request->host;
    store->file = open(path, (request->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0600);
    if (store->file < 0) {
        fail(status, error, capacity, "can't open %s: %s", path, strerror(errno));
        goto failed;
    }
    if (flock(store->file, (request->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        status = fail(TRELLIS_LOCKED, error, capacity, "%s is locked by another process", path);
        goto failed;
    }
    bool is_made = read_all(store->file, &store->head, sizeof store->head, 0)
        && memcmp(store->head.magic, MAGIC, sizeof MAGIC) == 0;
    if (!is_made && request->read_only) {
        status = fail(TRELLIS_CORRUPT, error, capacity, "%s is no file of slots", path);
        goto failed;
    }
    if (!is_made && !make(store, path, slots, slot_bytes)) {
        status = errno == ENOSPC || errno == EFBIG || errno == EDQUOT ? TRELLIS_FULL : TRELLIS_FATAL;
        fail(status, error, capacity, "can't make %s with %lld bytes: %s", path,
             (long long)offset_of(store, slots), strerror(errno));
        goto failed;
    }
    if (store->head.slots != slots || store->head.slot_bytes != slot_bytes) {
        // Options that contradict what is stored.
        status = TRELLIS_CORRUPT;
        fail(status, error, capacity, "%s has %llu slots of %llu bytes, which can't be changed; it was opened for %llu of %llu",
             path, (unsigned long long)store->head.slots, (unsigned long long)store->head.slot_bytes,
             (unsigned long long)slots, (unsigned long long)slot_bytes);
        goto failed;
    }
    store->slots = calloc(slots, sizeof *store->slots);
    store->free = calloc(slots, sizeof *store->free);
    if (store->slots == NULL || store->free == NULL) {
        fail(status, error, capacity, "there is no memory for %llu slots", (unsigned long long)slots);
        goto failed;
    }
    *result = store;
    return TRELLIS_OK;
failed:
    release(store);
    return status;
}

static struct trellis_job job_of(const struct slot_head *head, const void *body) {
    return (struct trellis_job){
        .size = sizeof(struct trellis_job), .id = head->id, .tube = head->tube, .tube_bytes = head->tube_bytes,
        .body = body, .body_bytes = head->body_bytes, .state = head->state, .priority = head->priority,
        .delay = head->delay, .ttr = head->ttr, .created_at = head->created_at, .deadline = head->deadline,
        .sequence = head->sequence, .reserves = head->reserves, .timeouts = head->timeouts,
        .releases = head->releases, .buries = head->buries, .kicks = head->kicks, .failures = head->failures,
    };
}

static int32_t slots_recover(
    struct trellis_store *store, trellis_deliver deliver, void *context, uint64_t *highest_id, char *error,
    size_t capacity
) {
    unsigned char *data = malloc(store->head.slot_bytes);
    if (data == NULL) return fail(TRELLIS_FATAL, error, capacity, "there is no memory");
    for (uint64_t slot = store->head.slots; slot-- > 0;) {
        struct slot_head *head = &store->slots[slot];
        if (!read_all(store->file, data, store->head.slot_bytes, offset_of(store, slot))) {
            free(data);
            return fail(TRELLIS_FATAL, error, capacity, "can't read slot %llu: %s", (unsigned long long)slot, strerror(errno));
        }
        memcpy(head, data, sizeof *head);
        bool was_used = head->check != 0;
        bool is_sound = was_used && head->check == head_checksum(head) && head->body_bytes <= store->head.slot_bytes - SECTOR
            && head->body_check == checksum(data + SECTOR, head->body_bytes);
        if (is_sound && head->id != 0) {
            struct trellis_job job = job_of(head, data + SECTOR);
            if (head->id > store->head.highest_id) store->head.highest_id = head->id;
            deliver(context, &job, slot);
            continue;
        }
        if (was_used && !is_sound) {
            char line[200];
            snprintf(line, sizeof line, "slot %llu holds a job that wasn't written whole; it is left out",
                     (unsigned long long)slot);
            store->host->report(store->host->context, TRELLIS_WARNING, line);
        }
        memset(head, 0, sizeof *head);
        store->free[store->free_count++] = slot;
    }
    free(data);
    *highest_id = store->head.highest_id;
    return TRELLIS_OK;
}

static bool slots_admit(struct trellis_store *store, size_t body_bytes, size_t tube_bytes) {
    return store->free_count > 0 && body_bytes <= store->head.slot_bytes - SECTOR && tube_bytes <= LONGEST_TUBE;
}

/// Has the head of a slot, and maybe a body, written with this turn.
static void write_later(struct trellis_store *store, uint64_t slot, const void *body, size_t body_bytes) {
    if (store->write_count == store->write_room) {
        size_t room = store->write_room * 2 + 64;
        struct write *writes = realloc(store->writes, room * sizeof *writes);
        if (writes == NULL) {
            store->is_broken = true;
            return;
        }
        store->writes = writes;
        store->write_room = room;
    }
    struct write *write = &store->writes[store->write_count];
    *write = (struct write){.slot = slot, .bytes = SECTOR + body_bytes, .data = calloc(1, SECTOR + body_bytes)};
    if (write->data == NULL) {
        store->is_broken = true;
        return;
    }
    store->write_count++;
    struct slot_head *head = &store->slots[slot];
    head->check = head_checksum(head);
    memcpy(write->data, head, sizeof *head);
    if (body_bytes > 0) memcpy(write->data + SECTOR, body, body_bytes);
}

static void slots_append(struct trellis_store *store, uint32_t kind, const struct trellis_job *job, uint64_t *note) {
    if (kind == TRELLIS_PUT) *note = store->free[--store->free_count];
    struct slot_head *head = &store->slots[*note];
    if (kind == TRELLIS_DELETE) {
        memset(head, 0, sizeof *head);
        head->body_check = checksum(NULL, 0);
        store->free[store->free_count++] = *note;
        write_later(store, *note, NULL, 0);
        return;
    }
    if (kind == TRELLIS_PUT) {
        head->id = job->id;
        head->created_at = job->created_at;
        head->ttr = job->ttr;
        head->body_bytes = job->body_bytes;
        head->body_check = checksum(job->body, job->body_bytes);
        if (job->id > store->head.highest_id) store->head.highest_id = job->id;
    }
    if (kind == TRELLIS_PUT || kind == TRELLIS_MOVE) {
        // A move changes the head only, which is a sector: the disk writes all of it or nothing.
        head->tube_bytes = (uint32_t)job->tube_bytes;
        memcpy(head->tube, job->tube, job->tube_bytes);
    }
    head->state = (uint16_t)job->state;
    head->failures = (uint16_t)job->failures;
    head->priority = job->priority;
    head->delay = job->delay;
    head->deadline = job->deadline;
    head->sequence = job->sequence;
    head->reserves = job->reserves;
    head->timeouts = job->timeouts;
    head->releases = job->releases;
    head->buries = job->buries;
    head->kicks = job->kicks;
    write_later(store, *note, job->body, kind == TRELLIS_PUT ? job->body_bytes : 0);
}

static int32_t slots_commit(struct trellis_store *store, uint64_t *ticket, char *error, size_t capacity) {
    (void)ticket;
    if (store->is_broken) return fail(TRELLIS_FATAL, error, capacity, "memory ran out");
    if (store->write_count == 0) return TRELLIS_OK;
    // The highest id first, so that after a SIGKILL no job is there whose number might be given out again. A power failure
    // may keep the second write and lose the first: `recover` looks at the jobs, too.
    bool is_written = write_all(store->file, &store->head, sizeof store->head, 0);
    for (size_t index = 0; index < store->write_count; index++) {
        struct write *write = &store->writes[index];
        is_written = is_written && write_all(store->file, write->data, write->bytes, offset_of(store, write->slot));
        free(write->data);
    }
    store->records_written += store->write_count;
    store->write_count = 0;
    if (!is_written) return fail(TRELLIS_FATAL, error, capacity, "can't write: %s", strerror(errno));
    // Many changes, one sync. A store in a hurry would leave it to a thread and answer TRELLIS_PENDING.
    if (fdatasync(store->file) != 0) return fail(TRELLIS_FATAL, error, capacity, "can't sync: %s", strerror(errno));
    return TRELLIS_OK;
}

static void slots_statistics(struct trellis_store *store, struct trellis_statistics *statistics) {
    statistics->records_written = store->records_written;
}

static int32_t slots_close(struct trellis_store *store, char *error, size_t capacity) {
    int32_t status = store->write_count > 0 ? slots_commit(store, NULL, error, capacity) : TRELLIS_OK;
    release(store);
    return status;
}

static const struct trellis_option options[] = {
    {
        .size = sizeof(struct trellis_option), .key = "path", .type = TRELLIS_PATH, .default_kind = TRELLIS_DEFAULT_TEXT,
        .default_text = "jobs.slots", .documentation = "The file of the jobs. It is made where there is none.",
    },
    {
        .size = sizeof(struct trellis_option), .key = "slots", .type = TRELLIS_INTEGER,
        .default_kind = TRELLIS_DEFAULT_NUMBER, .default_number = 4096, .minimum = 1, .maximum = 1 << 24,
        .documentation = "How many jobs there can be. It can't be changed once the file is made.",
    },
    {
        .size = sizeof(struct trellis_option), .key = "slot-size", .type = TRELLIS_SIZE,
        .default_kind = TRELLIS_DEFAULT_NUMBER, .default_number = 4096, .minimum = 1024, .maximum = 1 << 20,
        .documentation = "What a job takes; its body can have 512 bytes less. It can't be changed once the file is made.",
    },
};

static const struct trellis_storage storage = {
    .size = sizeof storage,
    .open = slots_open,
    .recover = slots_recover,
    .admit = slots_admit,
    .append = slots_append,
    .commit = slots_commit,
    .statistics = slots_statistics,
    .close = slots_close,
};

static const struct trellis_plugin plugin = {
    .size = sizeof plugin,
    .abi_version = TRELLIS_ABI_VERSION,
    .option_count = sizeof options / sizeof options[0],
    .options = options,
    .kind = "storage",
    .name = "slots",
    .version = "1.0",
    .summary = "Keeps small jobs in a file of slots, of a size that never changes.",
    .storage = &storage,
};

// Tests of trellisd build this file into plugins with faults of their own.
#ifndef SLOTS_WITHOUT_ENTRY
const struct trellis_plugin *trellis_plugin_at(uint32_t index) { return index == 0 ? &plugin : NULL; }
#endif
