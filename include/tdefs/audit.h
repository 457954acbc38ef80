/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event log of a volume: one JSON object a line in EVENT_DIR/NAME.jsonl,
 * rotated to NAME.jsonl.1 (the younger) and so on, chained across files:
 *
 *   {"v":1,"seq":7,"time":"2026-01-02T03:04:05.678Z","volume":"sales",
 *    "event":"state", DETAILS, "prev":HEX,"hash":HEX}
 *
 * `hash` is the SHA-256 of the line's bytes before `,"hash":`, `prev` the hash
 * of the line before (64 zeros in the first). What was written last stands in
 * STATE_DIR/NAME.head, so that a log that was cut or deleted shows. Several
 * processes write one log in turn, under a lock on STATE_DIR/NAME.log-lock.
 * Whoever can write both can make up another log: only the anchors, events that
 * went elsewhere through a sink, tell of that.
 *
 * A recorder (struct audit) is a bounded queue and a thread that writes it. A
 * log that cannot be written stops nobody: events wait and are written once it
 * works again, sinks hear of them at once, and audit_view() tells.
 */
#ifndef TDEFS_AUDIT_H
#define TDEFS_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/bytes.h"
#include "tdefs/config.h"
#include "tdefs/crypto.h"
#include "tdefs/errmsg.h"
#include "tdefs/sysio.h"

#define AUDIT_EVENT_MAX	  32   /* of an event's name: snake_case */
#define AUDIT_DETAILS_MAX 8192 /* of details as text; longer ones are left out and said so */
#define AUDIT_LINE_MAX	  (AUDIT_DETAILS_MAX + 1024)
#define AUDIT_QUEUE_MAX	  1000 /* events that wait */

struct audit;

/*
 * Minor: what users of the volume can cause at will. It has an allowance (60 at
 * once, then one in 10 s), at most half of the queue, and gives way to major
 * events there, as uses of the key (key_*) give way to all else that is major.
 * What is dropped is counted and told of by `events_dropped`.
 */
enum audit_weight { AUDIT_MAJOR, AUDIT_MINOR };

/*
 * Where else each line goes (journal, hook, webhook): called on the recorder's
 * thread, once an event, and must not block. `line` ends with neither newline
 * nor NUL. While the log cannot be written its events come without seq, prev
 * and hash: they get theirs when they are written. Lines of the log itself
 * (anchor, log_torn, ...) come through here, too.
 */
struct audit_sink {
	void (*send)(void *arg, enum audit_weight weight, const char *event, const char *line,
		     size_t len);
	void *arg;
};

struct audit_options {
	const char *event_dir, *state_dir, *volume;
	uint64_t log_size; /* a file longer than that is rotated */
	unsigned log_keep; /* rotated files */
	/* Between two anchors; 0: none, also not at the end (a program that only adds an event). */
	uint64_t anchor_interval_ms;
	uint64_t retry_ms;	/* while the log cannot be written */
	uint64_t close_wait_ms; /* most that audit_close() waits */
	const struct audit_sink *sinks;
	size_t nsinks;
	const struct sysio *sys;
};

/* What a daemon wants by its configuration; sinks are the caller's to add. Borrows `config`. */
struct audit_options audit_options_of(const struct config *config, const char *volume);

/*
 * Start a recorder; strings and sinks are copied, the sinks' `arg` must outlive
 * it. Refused with EXIT_CODE_CONFIG when event_dir lies on a FUSE mount, else
 * only for want of memory or a thread: never for want of a disk.
 */
int audit_open(const struct audit_options *options, struct audit **ret_audit,
	       struct errmsg *reterr) WARN_UNUSED;

/*
 * Record an event. Takes over `details`, an object that nobody else holds (NULL:
 * none, or no memory); its members follow `event` in the line, those named like
 * a member of the line are left out. Waits for no disk and no network; any
 * thread, under any lock (the recorder's own is innermost). `a` NULL: nothing.
 */
void audit_record(struct audit *a, enum audit_weight weight, const char *event, json_t *details);

struct audit_view {
	bool failing;		/* the log cannot be written, or its disk does not answer */
	uint64_t failing_since; /* seconds since 1970 */
	char error[1024];	/* why, for people */
	uint64_t waiting;	/* events not yet in the log */
	uint64_t dropped;	/* since audit_open() */
	uint64_t head_seq;	/* of the line this recorder wrote last; 0: none yet */
	char head_hash[HEX_LEN(SHA256_LEN)];
};
void audit_view(struct audit *a, struct audit_view *ret_view); /* `a` NULL: all zero */

/*
 * The last anchor, what waits is written, the thread ends; sinks are called no
 * more. A disk that hangs gets close_wait_ms: then the rest is left to the
 * thread, which frees everything if it ever gets on. Accepts NULL.
 */
void audit_close(struct audit *a);

/*
 * systemd's journal as a sink: audit_journal_send with what _open gives. -ENOENT:
 * this was not started under systemd (JOURNAL_STREAM, INVOCATION_ID; it reads the
 * environment, so not while others may change it). `path` NULL: the system's.
 * Closed after the recorder.
 */
#define AUDIT_JOURNAL_SOCKET "/run/systemd/journal/socket"
struct audit_journal;
int audit_journal_open(const char *volume, const char *path,
		       struct audit_journal **ret_journal) WARN_UNUSED;
void audit_journal_send(void *journal, enum audit_weight weight, const char *event,
			const char *line, size_t len); /* `journal` NULL: nothing */
void audit_journal_close(struct audit_journal *j);     /* accepts NULL */

#endif
