/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the event log of a volume (audit.h) and verifying its chain, with or
 * without a daemon. Nothing is written, no lock is taken, files are opened only
 * if they are regular; whole logs are never held in memory. Not thread-safe.
 */
#ifndef TDEFS_AUDIT_READ_H
#define TDEFS_AUDIT_READ_H

#include "tdefs/audit.h"

struct audit_reader;

/* What stands between two newlines. Valid until the next call. */
struct audit_raw {
	const char *text; /* without the newline; not NUL-terminated */
	size_t len;
	bool whole;	  /* a newline ended it, and it is not longer than a line may be */
	const char *file; /* NAME.jsonl or NAME.jsonl.2 */
	uint64_t number;  /* of the line in its file, from 1 */
};

/* From the oldest file that is kept. -ENOENT: there is no log. */
int audit_reader_open(const char *event_dir, const char *volume, struct audit_reader **ret_reader,
		      struct errmsg *reterr) WARN_UNUSED;
/*
 * 1 and the next; 0: none now. Called again later it goes on where it was, over
 * rotations too. A line that is being written is not told until it is whole.
 */
int audit_reader_next(struct audit_reader *r, struct audit_raw *ret_raw) WARN_UNUSED;
/* After 0: what follows the last newline; false: nothing. */
bool audit_reader_rest(struct audit_reader *r, struct audit_raw *ret_raw);
void audit_reader_close(struct audit_reader *r); /* accepts NULL */

static inline void cleanup_audit_reader_(struct audit_reader **r)
{
	audit_reader_close(*r);
}
#define CLEANUP_AUDIT_READER CLEANUP(cleanup_audit_reader_)

/*
 * A line for people, "TIME EVENT name=value ...", without what only the chain
 * needs, as a terminal may show it; owned by the caller. NULL: not a line of a
 * log, or no memory.
 */
char *audit_text(const char *line, size_t len) WARN_UNUSED;

/* --- verifying --- */

enum audit_finding {
	AUDIT_EDITED,	/* a line is not as it was written */
	AUDIT_GAP,	/* lines are missing, or stand in another order */
	AUDIT_CUT,	/* the log's beginning or its end is missing */
	AUDIT_HEAD,	/* the head cannot be used: the end cannot be told */
	AUDIT_UNKNOWN,	/* the anchor that was given is not in the log */
	AUDIT_TORN,	/* what a crash leaves of a line; no damage, like what follows */
	AUDIT_NO_RIGHT, /* the head may not be read by this user */
};

static inline bool audit_finding_is_damage(enum audit_finding f)
{
	return f < AUDIT_TORN;
}

/* `text` says what and where, for people; it holds bytes of file names only. */
typedef void (*audit_told)(void *arg, enum audit_finding finding, const char *text);

/*
 * The chain as a function of lines, one at a time; no I/O. Zeroed, `volume`,
 * `expected` and `told` set, it is ready; then audit_check_line() for each, and
 * audit_check_end().
 */
struct audit_check {
	const char *volume;
	audit_told told;
	void *arg;
	struct {
		uint64_t seq; /* 0: none */
		uint8_t hash[SHA256_LEN];
		enum { AUDIT_UNSEEN, AUDIT_SAME, AUDIT_OTHER } found;
	} expected[2]; /* lines known from elsewhere: the head, an anchor */

	/* What was found. */
	uint64_t nlines, first_seq, last_seq;
	uint64_t last_anchor; /* seq of the last anchor event; 0: none */
	uint64_t ndamaged, ntorn;

	/* Its own. */
	uint8_t last_hash[SHA256_LEN];
	uint64_t nbad, nbad_whole; /* lines that are none, since the last that is */
	char bad_where[128];
};
void audit_check_line(struct audit_check *c, const struct audit_raw *raw);
void audit_check_end(struct audit_check *c);

struct audit_verify_options {
	const char *event_dir, *state_dir, *volume;
	uint64_t anchor_seq; /* a line known from elsewhere; 0: none */
	uint8_t anchor_hash[SHA256_LEN];
};

/*
 * Verify a volume's whole log. 0 with what was found in `ret_check` (ndamaged
 * 0: whole); -ENOENT: there is neither log nor head; or it cannot be read.
 */
int audit_verify(const struct audit_verify_options *options, audit_told told, void *arg,
		 struct audit_check *ret_check, struct errmsg *reterr) WARN_UNUSED;

#endif
