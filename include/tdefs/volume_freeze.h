/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a mounted volume: everything written is made durable in the
 * backing, and changes are held back while a snapshot of it is taken. One at a
 * time, in a thread that keeps nobody waiting; the view tells what comes of it.
 */
#ifndef TDEFS_VOLUME_FREEZE_H
#define TDEFS_VOLUME_FREEZE_H

#include "tdefs/freeze.h"
#include "tdefs/volume.h"

#define FREEZE_MOST_MS UINT64_C(300000) /* 5 minutes */

/* The last sync or freeze in this mount. */
struct freeze_view {
	uint64_t number; /* of those that were begun in this mount; 0: none */
	bool freeze;	 /* it was a freeze */
	bool working;	 /* it is not over: no other can begin */
	bool busy;	 /* what came of it is not known yet */
	bool frozen;	 /* nothing changes the backing now */
	uint64_t at;	 /* when everything was durable, seconds since 1970; 0: it is not */
	uint64_t until;	 /* when a freeze ends by itself */
	uint64_t held;	 /* requests that wait for its end */
	enum freeze_end ended;
	int error; /* negative errno, with its message; 0: none */
	struct errmsg message;
};

/*
 * Begin to make everything durable that was written before, and then, with `freeze_ms`, to hold
 * changes for so long. -EAGAIN: one is at work, or the volume is not online: EXIT_CODE_TRY_AGAIN.
 */
int volume_sync(struct volume *v, uint64_t freeze_ms, uint64_t *ret_number,
		struct errmsg *reterr) WARN_UNUSED;

/* End a freeze; never blocks. -EALREADY: there is none, and the message says what ended the last. */
int volume_thaw(struct volume *v, enum freeze_end by, struct errmsg *reterr);
void volume_freeze_view(const struct volume *v, struct freeze_view *ret_view);

/*
 * Who serves the volume: asks volume_freeze() of each request that changes the backing, and
 * carries out what was held, from a thread of ours. Until volume_stop().
 */
struct freeze *volume_freeze(struct volume *v);
struct freeze_server {
	void (*prepare)(void *arg); /* before requests are held */
	void (*serve)(void *arg, void *request, size_t len);
	void *arg;
};
void volume_set_freeze_server(struct volume *v, const struct freeze_server *server);

#endif
