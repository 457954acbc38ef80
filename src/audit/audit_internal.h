/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the event log share. Private to src/audit. */
#ifndef TDEFS_AUDIT_INTERNAL_H
#define TDEFS_AUDIT_INTERNAL_H

#include "tdefs/audit.h"

/* A line's place in the chain. Seq 0: before the first. */
struct audit_link {
	uint64_t seq;
	uint8_t hash[SHA256_LEN];
};

/* --- line.c: one line as text, pure --- */

/* An event on its way into the log. */
struct audit_item {
	enum audit_weight weight;
	const char *event;
	uint64_t time_ms;	   /* since 1970 */
	const char *members;	   /* of details: each as `,"name":value` */
	size_t line_off, line_len; /* its line in the batch's text, set when it was written */
};

/*
 * Append the line of `item` after `link`, which moves on to it; without newline.
 * `link` NULL: without seq, prev and hash. The length, or -EIO.
 */
int audit_line_print(char out[static AUDIT_LINE_MAX], const char *volume,
		     const struct audit_item *item, struct audit_link *link) WARN_UNUSED;

/* Place in the chain, by its own account, of a line whose hash is right; else -EBADMSG. */
int audit_line_link(const char *line, size_t len, struct audit_link *ret_link) WARN_UNUSED;

/* Details as `members` of an item; takes them over. Never longer than AUDIT_DETAILS_MAX. */
char *audit_members(json_t *details) WARN_UNUSED;

/* --- head.c: where the chain ends, kept apart from it --- */

#define AUDIT_NAME_MAX 64 /* of our files: a volume's name and what is added */

struct audit_head {
	struct audit_link last;
	uint64_t first; /* seq with which the oldest file that is kept starts, at the latest */
};

/* -ENOENT: there is none; -EBADMSG: it is damaged. */
int audit_head_read(const struct sysio *sys, int state_dirfd, const char *volume,
		    struct audit_head *ret_head) WARN_UNUSED;
int audit_head_write(const struct sysio *sys, int state_dirfd, const char *volume,
		     const struct audit_head *head) WARN_UNUSED;

#define AUDIT_GROUP "tdefs" /* the control socket's */

/* --- log.c, rotate.c: the files --- */

/* Of the log's file (0) or of a rotated one. */
void audit_log_name(const char *volume, unsigned n, char name[static AUDIT_NAME_MAX]);

struct audit_log {
	const struct sysio *sys;
	const char *event_dir, *state_dir, *volume;
	uint64_t max_size;
	unsigned keep;
	gid_t readers; /* the group that may read it; (gid_t)-1: none */
};

#define AUDIT_BATCH 32 /* events written at once */
#define AUDIT_NOTES 2  /* what the log has to say of itself before them */

struct audit_batch {
	struct audit_item notes[AUDIT_NOTES];
	char note_members[AUDIT_NOTES][128];
	size_t nnotes;
	struct audit_item items[AUDIT_BATCH];
	size_t nitems;
	char *text; /* all lines with their newlines: notes, then items; owned */
	size_t len;
	struct audit_link head; /* the last of them */
	bool written;		/* they are durable, whatever else failed */
};

/*
 * Append a batch's items, durably. On error `written` says whether they are in
 * the log nevertheless. Without items it tries whether they could be written.
 */
int audit_log_append(const struct audit_log *log, struct audit_batch *batch,
		     struct errmsg *reterr) WARN_UNUSED;
/* Make room for a new file; what is gone then is told to the head first. */
int audit_log_rotate(const struct audit_log *log, int event_dirfd, int state_dirfd,
		     struct audit_head *head) WARN_UNUSED;
void audit_batch_release(struct audit_batch *batch);

/* -EINVAL with EXIT_CODE_CONFIG: event_dir is on a FUSE mount. What cannot be told is 0. */
int audit_log_check_dir(const struct audit_log *log, struct errmsg *reterr) WARN_UNUSED;

/*
 * Who gives way where there is no room: the greatest first. Uses of the key come with
 * each probe that fails, for hours, and must not cost a change of state its place.
 */
enum audit_rank { AUDIT_RANK_STATE, AUDIT_RANK_KEY, AUDIT_RANK_MINOR, AUDIT_RANKS };
enum audit_rank audit_rank_of(enum audit_weight weight, const char *event);

/* Milliseconds since 1970. */
uint64_t audit_now_ms(void);

#endif
