/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies, and what must be undone when a reply does not arrive: the kernel
 * answers ENOENT when the waiting process was interrupted (fuse_lowlevel.h),
 * and then knows nothing of a node or handle we counted.
 */
#include <errno.h>

#include "fs_internal.h"
#include "tdefs/log.h"

/* We are the only writer, so what the kernel caches stays true until it changes it itself. */
#define CACHE_SECONDS 86400.0

static void note_failed(int r, const char *what)
{
	/* ENOENT: interrupted. ENODEV: unmounted meanwhile. Both are usual. */
	if (r < 0 && r != -ENOENT && r != -ENODEV)
		log_warning("reply to the kernel failed (%s): %s", what, errno_text(r));
}

int fs_gate(fuse_req_t req, enum gate_request request)
{
	return gate_check(fs_of(req)->gate, request, fuse_req_ctx(req)->uid);
}

/* A key that was wiped in the middle of a request: answer as the gate does by now. */
static int as_the_gate_says(fuse_req_t req, int r)
{
	int now = r == -ENOKEY ? fs_gate(req, GATE_READ) : r;

	return now < 0 ? now : r;
}

void fs_reply_status(fuse_req_t req, int r)
{
	r = as_the_gate_says(req, r);
	note_failed(fuse_reply_err(req, -r), "status");
}

struct fuse_entry_param fs_entry_param(const struct entry *e)
{
	return (struct fuse_entry_param){
		.ino = e->node,
		.generation = e->generation,
		.attr = e->st,
		.attr_timeout = CACHE_SECONDS,
		.entry_timeout = CACHE_SECONDS,
	};
}

void fs_reply_entry(fuse_req_t req, int r, const struct entry *e)
{
	struct store *store = store_of(req);
	struct fuse_entry_param param;

	if (r < 0) {
		fs_reply_status(req, r);
		return;
	}
	param = fs_entry_param(e);
	r = fuse_reply_entry(req, &param);
	note_failed(r, "entry");
	if (r < 0)
		store_forget(store, e->node, 1);
}

void fs_reply_attr(fuse_req_t req, int r, const struct stat *st)
{
	if (r < 0)
		fs_reply_status(req, r);
	else
		note_failed(fuse_reply_attr(req, st, CACHE_SECONDS), "attributes");
}

void fs_reply_attr_once(fuse_req_t req, const struct stat *st)
{
	note_failed(fuse_reply_attr(req, st, 0), "attributes");
}

/* Pages stay cached over opens: nobody changes a file but through this mount. */
static void set_cache_policy(struct fuse_file_info *fi, uint64_t handle, bool direct)
{
	fi->fh = handle;
	fi->keep_cache = !direct;
	fi->direct_io = direct;
}

void fs_reply_open(fuse_req_t req, int r, struct fuse_file_info *fi, uint64_t handle, bool direct)
{
	struct store *store = store_of(req);

	if (r < 0) {
		fs_reply_status(req, r);
		return;
	}
	set_cache_policy(fi, handle, direct);
	r = fuse_reply_open(req, fi);
	note_failed(r, "open");
	if (r < 0)
		store_release_file(store, handle);
}

void fs_reply_create(fuse_req_t req, int r, const struct entry *e, struct fuse_file_info *fi,
		     uint64_t handle)
{
	struct store *store = store_of(req);
	struct fuse_entry_param param;

	if (r < 0) {
		fs_reply_status(req, r);
		return;
	}
	set_cache_policy(fi, handle, e->direct);
	param = fs_entry_param(e);
	r = fuse_reply_create(req, &param, fi);
	note_failed(r, "create");
	if (r < 0) {
		store_release_file(store, handle);
		store_forget(store, e->node, 1);
	}
}

/*
 * Groups decide one thing only, whether S_ISGID stays on a new file, and asking
 * for them costs a read of /proc.
 */
void fs_caller_init(struct fs_caller *c, fuse_req_t req, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	int n = 0;

	if (mode & S_ISGID)
		n = fuse_req_getgroups(req, FS_GROUPS_MAX, c->groups);
	c->caller = (struct caller){ .uid = ctx->uid,
				     .gid = ctx->gid,
				     .groups = c->groups,
				     .ngroups = n > 0 ? (size_t)n : 0 };
	if (c->caller.ngroups > FS_GROUPS_MAX)
		c->caller.ngroups = FS_GROUPS_MAX;
}
