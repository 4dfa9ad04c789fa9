// SPDX-License-Identifier: MIT
// Plugins that can't be loaded: the macro DEFECT says why.

#include "trellis_plugin.h"

static int32_t open_store(const struct trellis_open *a, struct trellis_store **b, char *c, size_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return TRELLIS_FATAL;
}
static int32_t recover(
    struct trellis_store *a, trellis_deliver b, void *c, uint64_t *d, char *e, size_t f
) {
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return TRELLIS_FATAL;
}
static bool admit(struct trellis_store *a, size_t b, size_t c) { return (void)a, (void)b, (void)c, false; }
static void append(struct trellis_store *a, uint32_t b, const struct trellis_job *c, uint64_t *d) {
    (void)a, (void)b, (void)c, (void)d;
}
static int32_t commit(struct trellis_store *a, uint64_t *b, char *c, size_t d) {
    return (void)a, (void)b, (void)c, (void)d, TRELLIS_FATAL;
}
static int32_t close_store(struct trellis_store *a, char *b, size_t c) {
    return (void)a, (void)b, (void)c, TRELLIS_OK;
}

enum { NO_SYMBOL = 1, OTHER_VERSION, SHORT_TABLE, NO_COMMIT, OLD_STORAGE, NO_PLUGIN, OTHER_KIND, BAD_NAME, BAD_OPTION, TAKEN_NAME };

static const struct trellis_option option = {
    .size = sizeof option, .key = "size", .type = TRELLIS_SIZE, .default_kind = TRELLIS_DEFAULT_NUMBER,
    .default_number = 5, .minimum = 10, .maximum = 20, .documentation = "A default out of its range.",
};

static const struct trellis_storage storage = {
    // As if the header had ended before `commit`.
    .size = DEFECT == OLD_STORAGE ? offsetof(struct trellis_storage, commit) : sizeof storage,
    .open = open_store,
    .recover = recover,
    .admit = admit,
    .append = append,
    .commit = DEFECT == NO_COMMIT ? NULL : commit,
    .close = close_store,
};

static const struct trellis_plugin plugin = {
    .size = DEFECT == SHORT_TABLE ? 24 : sizeof plugin,
    .abi_version = DEFECT == OTHER_VERSION ? 7 : TRELLIS_ABI_VERSION,
    .option_count = DEFECT == BAD_OPTION ? 1 : 0,
    .options = &option,
    .kind = DEFECT == OTHER_KIND ? "transport" : "storage",
    .name = DEFECT == BAD_NAME ? "No Name" : DEFECT == TAKEN_NAME ? "memory" : "unloadable",
    .version = "1",
    .summary = "Can't be loaded.",
    .storage = &storage,
};

TRELLIS_EXPORT const struct trellis_plugin *another_symbol(uint32_t index);
#if DEFECT == 1
const struct trellis_plugin *another_symbol(uint32_t index) {
#else
const struct trellis_plugin *trellis_plugin_at(uint32_t index) {
#endif
    return index == 0 && DEFECT != NO_PLUGIN ? &plugin : NULL;
}
