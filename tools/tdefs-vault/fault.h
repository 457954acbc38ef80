/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults for tests, kept in the database and read only by a server that was
 * started with --allow-test-faults; a start without it is refused while there
 * are any. Each has a glob that is matched against the whole path (a `*` also
 * matches `/`, case is ignored), a kind, a value and how often it still acts.
 */
#ifndef TDEFS_VAULT_FAULT_H
#define TDEFS_VAULT_FAULT_H

#include "db.h"

enum fault_kind {
	FAULT_DELAY,	  /* VALUE milliseconds before the request is looked at */
	FAULT_DROP,	  /* close without an answer, nothing done */
	FAULT_DROP_AFTER, /* do it, then close without an answer */
	FAULT_STATUS,	  /* VALUE is STATUS[,CODE[,INNER[,MESSAGE]]]; nothing done */
	FAULT_TRUNCATE,	  /* close after VALUE bytes of the true answer */
	FAULT_BODY,	  /* VALUE instead of the true body */
	FAULT_WRONG,	  /* the answer's "value" with one bit turned */
	FAULT_HEADER,	  /* add the header VALUE, "Name: text" */
	FAULT_CLOCK,	  /* VALUE seconds added to the vault's clock; no path, no count */
	FAULT_KINDS,
};

extern const char *const fault_names[FAULT_KINDS];

/* Those that act on one request; VALUE cut to its room. */
struct fault_set {
	bool on[FAULT_KINDS];
	char value[FAULT_KINDS][512];
};

/* Collect and count down those that match `path`. */
int fault_take(sqlite3 *db, const char *path, struct fault_set *ret_set) WARN_UNUSED;

/* Sum of clock faults, 0 when there is none. */
int64_t fault_clock_shift(sqlite3 *db);

int fault_count(sqlite3 *db, int64_t *ret_count) WARN_UNUSED;

#endif
