// SPDX-License-Identifier: MIT
//
// Which ids were given out, and what is known of each job.

#include "load.h"

#include <stdlib.h>

// MARK: Ids that were seen

// One bit per id, in pages, since servers give ids in sequence from some start.
struct page { uint64_t number; uint64_t bits[1 << 10]; };
struct id_set { struct page **pages; size_t count, capacity, last; };

// False if the id was there before.
static bool id_set_add(struct id_set *set, uint64_t id) {
    uint64_t number = id >> 16, bit = UINT64_C(1) << (id & 63);
    size_t at = set->last;
    if (at >= set->count || set->pages[at]->number != number) {
        // From the newest page back: it is nearly always among the last ones.
        for (at = set->count; at > 0 && set->pages[at - 1]->number != number; at--) {}
        if (at == 0) {
            if (set->count == set->capacity) {
                set->capacity = set->capacity ? set->capacity * 2 : 64;
                set->pages = realloc(set->pages, set->capacity * sizeof *set->pages);
                if (!set->pages) fail("out of memory");
            }
            set->pages[set->count] = allocate(1, sizeof(struct page));
            set->pages[set->count++]->number = number;
            at = set->count;
        }
        set->last = --at;
    }
    uint64_t *word = &set->pages[at]->bits[(id & 0xffff) >> 6];
    if (*word & bit) return false;
    *word |= bit;
    return true;
}

static struct id_set given_out, reserved;

void id_given_out(uint64_t id) {
    if (!id_set_add(&given_out, id)) fail("id %" PRIu64 " was given out twice", id);
}

void id_reserved(uint64_t id) {
    if (!id_set_add(&reserved, id)) fail("job %" PRIu64 " was reserved twice", id);
}

// MARK: Jobs

// The index sits in the low bits of the counter, so that a body leads back to its job.
enum { INDEX_BITS = 24, SEQUENCE_BITS = 28 };

struct job *jobs;
uint32_t live_jobs;
uint64_t strangers;
static uint32_t first_free, job_capacity;
static uint64_t next_counter;

void jobs_prepare(uint32_t capacity) {
    job_capacity = capacity;
    jobs = allocate(capacity, sizeof *jobs);
    for (uint32_t i = 0; i < capacity; i++) jobs[i].next_free = i + 1;
    // Runs do not begin with the same, so that jobs of another are known as such.
    next_counter = (uint64_t)(now() * 1e6) % 4093 << SEQUENCE_BITS;
}

uint64_t next_free_counter(void) {
    return next_counter++ << INDEX_BITS | ((1 << INDEX_BITS) - 1);
}

uint32_t job_take(void) {
    uint32_t index = first_free;
    if (index == job_capacity)
        fail(options.rate > 0 ? "%" PRIu32 " jobs are under way: the server does not keep up with --rate"
                              : "more than %" PRIu32 " jobs are under way: a reserve was answered twice", job_capacity);
    struct job *job = &jobs[index];
    first_free = job->next_free;
    live_jobs++;
    job->counter = next_counter++ << INDEX_BITS | index;
    job->id = 0;
    job->inserted = job->reserved = false;
    return index;
}

static bool settle(struct job *job) {
    if (!job->inserted || !job->reserved) return false;
    job->next_free = first_free;
    first_free = (uint32_t)(job - jobs);
    live_jobs--;
    return true;
}

bool job_inserted(uint32_t index, uint64_t id) {
    struct job *job = &jobs[index];
    if (job->reserved && job->id != id)
        fail("a job was put as %" PRIu64 " and reserved as %" PRIu64, id, job->id);
    job->id = id;
    job->inserted = true;
    return settle(job);
}

bool job_reserved(uint64_t counter, uint64_t id, uint32_t *index) {
    *index = (uint32_t)(counter & ((1 << INDEX_BITS) - 1));
    bool is_known = *index < job_capacity && jobs[*index].counter == counter;
    if (!is_known && options.prepared) {
        strangers++;
        return false;
    }
    if (!is_known || jobs[*index].reserved)
        fail("job %" PRIu64 " was not put in this run, or was reserved before; is the queue empty at the start?", id);
    struct job *job = &jobs[*index];
    if (job->inserted && job->id != id)
        fail("a job was put as %" PRIu64 " and reserved as %" PRIu64, job->id, id);
    job->id = id;
    job->reserved = true;
    return settle(job);
}
