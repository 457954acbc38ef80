/* SPDX-License-Identifier: Apache-2.0 */
/* A log as it lies on the disk, against its head and an anchor. The chain itself is check.c's. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "audit_internal.h"
#include "tdefs/audit_read.h"
#include "tdefs/clock.h"

#define UNFINISHED_TRIES 10 /* of 100 ms: how long a line that is being written may take */

enum { HEAD, ANCHOR }; /* of audit_check.expected */

static void tell(struct audit_check *c, enum audit_finding finding, const char *text)
{
	c->ndamaged += audit_finding_is_damage(finding);
	c->told(c->arg, finding, text);
}

/* What the head says; an errno when it says nothing. */
static int read_head(const struct audit_verify_options *o, struct audit_head *ret_head)
{
	const struct sysio *sys = &sysio_kernel;
	CLEANUP_CLOSE int fd = sys->openat(AT_FDCWD, o->state_dir, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? fd : audit_head_read(sys, fd, o->volume, ret_head);
}

static int read_lines(struct audit_reader *r, struct audit_check *c)
{
	struct audit_raw raw;
	int n, tries = 0;

	for (;;) {
		while ((n = audit_reader_next(r, &raw)) > 0)
			audit_check_line(c, &raw);
		if (n < 0)
			return n;
		if (!audit_reader_rest(r, &raw))
			return 0;
		if (tries++ == UNFINISHED_TRIES) {
			audit_check_line(c, &raw);
			return 0;
		}
		clock_kernel.sleep_ms(100);
	}
}

static void compare_head(struct audit_check *c, const struct audit_head *head, int r)
{
	char text[256];

	if (r == -EACCES) {
		tell(c, AUDIT_NO_RIGHT,
		     "the head of the log cannot be read: whether its end is missing is not known");
		return;
	}
	if (r < 0) {
		(void)snprintf(text, sizeof(text), "the head of the log cannot be used: %s",
			       errno_text(r));
		tell(c, AUDIT_HEAD, text);
		return;
	}
	if (c->last_seq < head->last.seq) {
		(void)snprintf(text, sizeof(text),
			       "the end is missing: the last event is %" PRIu64 ", and %" PRIu64
			       " were written",
			       c->last_seq, head->last.seq);
		tell(c, AUDIT_CUT, text);
	} else if (head->last.seq > 0 && c->expected[HEAD].found != AUDIT_SAME) {
		(void)snprintf(text, sizeof(text),
			       "event %" PRIu64 " is not the one that was written", head->last.seq);
		tell(c, AUDIT_EDITED, text);
	}
	if (c->nlines > 0 && c->first_seq > head->first) {
		(void)snprintf(text, sizeof(text),
			       "the beginning is missing: the first event is %" PRIu64
			       ", and those from %" PRIu64 " on were kept",
			       c->first_seq, head->first);
		tell(c, AUDIT_CUT, text);
	}
}

static void compare_anchor(struct audit_check *c)
{
	char text[128];
	const char *what = c->expected[ANCHOR].found == AUDIT_OTHER
				   ? "is another: the log was written anew"
				   : "is not in the log";

	if (c->expected[ANCHOR].seq == 0 || c->expected[ANCHOR].found == AUDIT_SAME)
		return;
	(void)snprintf(text, sizeof(text), "event %" PRIu64 " of the anchor %s",
		       c->expected[ANCHOR].seq, what);
	tell(c, AUDIT_UNKNOWN, text);
}

int audit_verify(const struct audit_verify_options *o, audit_told told, void *arg,
		 struct audit_check *ret_check, struct errmsg *reterr)
{
	CLEANUP_AUDIT_READER struct audit_reader *reader = NULL;
	struct audit_check c = { .volume = o->volume, .told = told, .arg = arg };
	struct audit_head head = { 0 };
	/* Before the files: what it knows of is in them by then. */
	int head_read = read_head(o, &head);
	int r = audit_reader_open(o->event_dir, o->volume, &reader, reterr);

	if (r < 0 && (r != -ENOENT || head_read < 0 || head.last.seq == 0))
		return r;
	c.expected[HEAD].seq = head.last.seq;
	memcpy(c.expected[HEAD].hash, head.last.hash, SHA256_LEN);
	c.expected[ANCHOR].seq = o->anchor_seq;
	memcpy(c.expected[ANCHOR].hash, o->anchor_hash, SHA256_LEN);
	r = reader ? read_lines(reader, &c) : 0;
	if (r < 0)
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
				   "%s: the event log: cannot read: %s", o->volume, errno_text(r));
	audit_check_end(&c);
	compare_head(&c, &head, head_read);
	compare_anchor(&c);
	*ret_check = c;
	return 0;
}
