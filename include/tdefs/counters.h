/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mounted volume counts. One table of names, used by status and by the
 * metrics text; names are user-visible and stable.
 *
 * Requests are counted because they are what a mount costs: each takes a way into
 * the daemon and back. tests/speed says how many an engine's operation may need.
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
	/* Requests that reached the daemon, but for reads, writes and syncs of files. */
	COUNTER_LOOKUPS,
	COUNTER_FORGETS,
	COUNTER_GETATTRS,
	COUNTER_SETATTRS,
	COUNTER_OPENS,	  /* of files and directories */
	COUNTER_CREATES,  /* whatever makes a name: files, directories, links */
	COUNTER_RELEASES, /* of files and directories */
	COUNTER_DELETES,  /* of files and directories */
	COUNTER_RENAMES,
	COUNTER_READDIRS,
	COUNTER_SYNCDIRS,
	COUNTER_OTHERS, /* fallocate, lseek, readlink, statfs, ... */
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
