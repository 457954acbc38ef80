/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mounted volume counts. One table of names, used by status now and by
 * the metrics text later; names are user-visible and stable.
 */
#ifndef TDEFS_COUNTERS_H
#define TDEFS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
	COUNTER_READS,		 /* read requests served */
	COUNTER_READ_BYTES,	 /* plaintext bytes returned */
	COUNTER_WRITES,		 /* write requests served */
	COUNTER_WRITTEN_BYTES,	 /* plaintext bytes taken */
	COUNTER_SYNCS,		 /* fsync and fdatasync requests served */
	COUNTER_IO_ERRORS,	 /* errors of the backing file system */
	COUNTER_ERRORS_LATCHED,	 /* errors that began to be held for the next fsync */
	COUNTER_ERRORS_RELEASED, /* of these, those that were reported and let go */
	COUNTER_DAMAGED_HEADERS, /* file headers refused */
	COUNTER_MAX,
};

struct counters {
	_Atomic uint64_t value[COUNTER_MAX];
};

extern const char *const counter_names[COUNTER_MAX];

static inline void counter_add(struct counters *c, enum counter which, uint64_t n)
{
	atomic_fetch_add_explicit(&c->value[which], n, memory_order_relaxed);
}

static inline uint64_t counter_read(const struct counters *c, enum counter which)
{
	return atomic_load_explicit(&c->value[which], memory_order_relaxed);
}

#endif
