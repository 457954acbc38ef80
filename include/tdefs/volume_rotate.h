/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another key for a volume, mounted or not: which may be taken, by whose
 * settings, and who is told. What happens to the header is tdefs/rotate.h's.
 *
 * A new protector must be one that tdefs.conf, read at that moment, names as the
 * volume's `protector`: else the next mount would refuse the header.
 */
#ifndef TDEFS_VOLUME_ROTATE_H
#define TDEFS_VOLUME_ROTATE_H

#include <sys/types.h>

#include "tdefs/policy.h"
#include "tdefs/volume.h"

struct rotation_request {
	char to[KID_MAX + 1]; /* "": the newest version of the configured protector */
	bool retire;	      /* keep no previous slot */
	bool from_previous;   /* of a header that nobody mounts: by its previous slot */
	bool unpin;	      /* of a pinned header: the newest, from now on */
	bool by_itself;	      /* nobody asked for it: auto_rotate */
	uint64_t if_sequence; /* then: of the header for which that was decided */
	bool key_is_backed_up;
	bool dry_run; /* of volume_rewrap() only: say what would come of it, mounted or not */
	enum policy_act act; /* as it is told of: POLICY_ROTATE or POLICY_REWRAP */
};

/* A key, as it is told of. */
struct rotation_key {
	char kid[KID_MAX + 1];
	uint8_t thumbprint[THUMBPRINT_LEN];
};

/* What came of a rotation. */
struct rotation_outcome {
	int error; /* negative errno, with its message; 0: none */
	struct errmsg message;
	/* Of what is in force now, with or without an error. */
	bool rotated, retired;
	bool pinned;
	struct rotation_key before, after;
	/* Which key it was to be, and the policy that it met; none where it did not come to that. */
	char to[KID_MAX + 1];
	struct policy policy;
};

/* The last rotation of a mounted volume. */
struct rotation_view {
	uint64_t number; /* of those that were begun in this mount; 0: none */
	bool by_itself;	 /* nobody asked for it */
	bool busy;	 /* it is at work: the outcome is not known */
	uint64_t at;	 /* when it ended, seconds since 1970 */
	struct rotation_outcome outcome;
};

/*
 * Begin a rotation, in a thread of its own; the view tells what comes of it. -EAGAIN: one is
 * at work, the volume is not online, or its event log cannot be written: EXIT_CODE_TRY_AGAIN.
 */
int volume_rotate(struct volume *v, const struct rotation_request *request, uint64_t *ret_number,
		  struct errmsg *reterr) WARN_UNUSED;
void volume_rotation_view(const struct volume *v, struct rotation_view *ret_view);

/* A header that nobody has mounted. */
struct rewrap {
	const struct sysio *sys;
	const struct config *config;
	const struct volume_config *volume; /* whose it is; NULL: a copy, which has no pin */
	const struct backing *backing;
	const struct vault_watch *watch;
	uint64_t now;
};
/* Takes .tdefs/lock, and does it. The outcome is always filled; its error is the result. */
int volume_rewrap(const struct rewrap *rewrap, const struct rotation_request *request,
		  struct rotation_outcome *ret_outcome) WARN_UNUSED;

#endif
