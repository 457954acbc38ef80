/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open directories. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct store *store = store_of(req);
	uint64_t handle = 0;
	int r = store_opendir(store, ino, &handle);

	if (r < 0) {
		fs_reply_status(req, r);
		return;
	}
	fi->fh = handle;
	if (fuse_reply_open(req, fi) < 0)
		store_releasedir(store, handle);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	store_releasedir(store_of(req), fi->fh);
	fs_reply_status(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	fs_reply_status(req, store_syncdir(store_of(req), fi->fh, datasync));
}

/* A listing as it fills the reply's buffer. */
struct listing {
	fuse_req_t req;
	struct store *store;
	uint64_t handle;
	char *buf;
	size_t len, used;
	uint64_t *looked_up; /* nodes that the entries count */
	size_t nlooked_up;
};

#define DIRENTPLUS_MIN 152 /* FUSE_NAME_OFFSET_DIRENTPLUS: no entry is shorter */

static bool add_plain(void *arg, const struct dir_name *name)
{
	struct listing *l = arg;
	struct stat st = { .st_ino = name->ino, .st_mode = name->type };
	size_t n = fuse_add_direntry(l->req, l->buf + l->used, l->len - l->used, name->name, &st,
				     (off_t)name->next);

	if (n > l->len - l->used)
		return false;
	l->used += n;
	return true;
}

/* With node 0 the kernel takes the name alone, and will look it up when it needs to. */
static bool add_plus(void *arg, const struct dir_name *name)
{
	struct listing *l = arg;
	struct fuse_entry_param param = { .attr = { .st_ino = name->ino, .st_mode = name->type } };
	bool dots = strcmp(name->name, ".") == 0 || strcmp(name->name, "..") == 0;
	struct entry e = { 0 };
	size_t n;

	if (!dots && store_lookup_in(l->store, l->handle, name->name, &e) == 0)
		param = fs_entry_param(&e);
	n = fuse_add_direntry_plus(l->req, l->buf + l->used, l->len - l->used, name->name, &param,
				   (off_t)name->next);
	if (n > l->len - l->used) {
		if (e.node)
			store_forget(l->store, e.node, 1);
		return false;
	}
	l->used += n;
	if (e.node)
		l->looked_up[l->nlooked_up++] = e.node;
	return true;
}

static void list(fuse_req_t req, size_t size, off_t off, uint64_t handle,
		 bool (*add)(void *arg, const struct dir_name *name))
{
	struct listing l = { .req = req,
			     .store = store_of(req),
			     .handle = handle,
			     .buf = malloc(size),
			     .len = size,
			     .looked_up = calloc(size / DIRENTPLUS_MIN + 1, sizeof(uint64_t)) };
	int r = l.buf && l.looked_up ? store_readdir(l.store, handle, (uint64_t)off, add, &l)
				     : -ENOMEM;

	/* What was added has been looked up and must arrive; the error comes again. */
	if (r < 0 && l.used == 0)
		fs_reply_status(req, r);
	else if (fuse_reply_buf(req, l.buf, l.used) < 0) /* the kernel counted none of them */
		for (size_t i = 0; i < l.nlooked_up; i++)
			store_forget(l.store, l.looked_up[i], 1);
	free(l.looked_up);
	free(l.buf);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, off, fi->fh, add_plain);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, off, fi->fh, add_plus);
}
