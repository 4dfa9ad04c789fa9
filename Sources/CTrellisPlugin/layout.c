// SPDX-License-Identifier: MIT
// What version 1 of the interface looks like in memory, on machines with 64-bit pointers. A struct grows at its end only: a
// line here may be joined by another, for a new field, but never changes.

#include "trellis_plugin.h"

#if UINTPTR_MAX == UINT64_MAX

#define AT(type, field, offset) \
    _Static_assert(offsetof(struct type, field) == (offset), #type "." #field " has moved: plugins would break")

AT(trellis_option, key, 8);
AT(trellis_option, type, 16);
AT(trellis_option, default_kind, 20);
AT(trellis_option, default_text, 24);
AT(trellis_option, default_number, 32);
AT(trellis_option, minimum, 40);
AT(trellis_option, maximum, 48);
AT(trellis_option, choices, 56);
AT(trellis_option, documentation, 64);

AT(trellis_value, key, 8);
AT(trellis_value, text, 16);
AT(trellis_value, number, 24);

AT(trellis_job, id, 8);
AT(trellis_job, tube, 16);
AT(trellis_job, tube_bytes, 24);
AT(trellis_job, body, 32);
AT(trellis_job, body_bytes, 40);
AT(trellis_job, state, 48);
AT(trellis_job, priority, 52);
AT(trellis_job, delay, 56);
AT(trellis_job, ttr, 60);
AT(trellis_job, created_at, 64);
AT(trellis_job, deadline, 72);
AT(trellis_job, sequence, 80);
AT(trellis_job, reserves, 88);
AT(trellis_job, timeouts, 92);
AT(trellis_job, releases, 96);
AT(trellis_job, buries, 100);
AT(trellis_job, kicks, 104);
AT(trellis_job, failures, 108);

AT(trellis_host, context, 8);
AT(trellis_host, wake, 16);
AT(trellis_host, report, 24);

AT(trellis_open, host, 8);
AT(trellis_open, values, 16);
AT(trellis_open, value_count, 24);
AT(trellis_open, read_only, 32);

AT(trellis_statistics, oldest_segment, 8);
AT(trellis_statistics, slow_syncs, 64);

AT(trellis_storage, open, 8);
AT(trellis_storage, recover, 16);
AT(trellis_storage, admit, 24);
AT(trellis_storage, append, 32);
AT(trellis_storage, maintain, 40);
AT(trellis_storage, commit, 48);
AT(trellis_storage, completed, 56);
AT(trellis_storage, is_congested, 64);
AT(trellis_storage, segment, 72);
AT(trellis_storage, statistics, 80);
AT(trellis_storage, close, 88);
AT(trellis_storage, validate, 96);

AT(trellis_order_open, values, 8);
AT(trellis_order_open, value_count, 16);

AT(trellis_tube, name, 8);
AT(trellis_tube, name_bytes, 16);
AT(trellis_tube, index, 24);
AT(trellis_tube, weight, 28);
AT(trellis_tube, objective, 32);

AT(trellis_ready_job, id, 8);
AT(trellis_ready_job, created_at, 16);
AT(trellis_ready_job, slot, 24);
AT(trellis_ready_job, tube, 28);
AT(trellis_ready_job, priority, 32);

AT(trellis_watch_set, tubes, 8);
AT(trellis_watch_set, tube_count, 16);
AT(trellis_watch_set, index, 24);

AT(trellis_scheduler, open, 8);
AT(trellis_scheduler, advance, 16);
AT(trellis_scheduler, tube_opened, 24);
AT(trellis_scheduler, tube_changed, 32);
AT(trellis_scheduler, tube_closed, 40);
AT(trellis_scheduler, ready, 48);
AT(trellis_scheduler, removed, 56);
AT(trellis_scheduler, reserved, 64);
AT(trellis_scheduler, reserved_by_id, 72);
AT(trellis_scheduler, finished, 80);
AT(trellis_scheduler, eligible, 88);
AT(trellis_scheduler, pick, 96);
AT(trellis_scheduler, peek, 104);
AT(trellis_scheduler, close, 112);
AT(trellis_scheduler, validate, 120);

AT(trellis_plugin, abi_version, 8);
AT(trellis_plugin, option_count, 12);
AT(trellis_plugin, options, 16);
AT(trellis_plugin, kind, 24);
AT(trellis_plugin, name, 32);
AT(trellis_plugin, version, 40);
AT(trellis_plugin, summary, 48);
AT(trellis_plugin, storage, 56);
AT(trellis_plugin, scheduler, 64);

#endif
