/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names. */
#include "fs_internal.h"

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct entry e;
	int r = store_lookup(store_of(req), parent, name, &e);

	fs_reply_entry(req, r, &e);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	store_forget(store_of(req), ino, nlookup);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		store_forget(store_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs_caller c;
	struct entry e;
	int r = fs_gate(req, GATE_CHANGE);

	fs_caller_init(&c, req, mode);
	if (r == 0)
		r = store_mkdir(store_of(req), &c.caller, parent, name, mode, &e);
	fs_reply_entry(req, r, &e);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_caller c;
	struct entry e;
	int r = fs_gate(req, GATE_CHANGE);

	(void)rdev; /* device nodes are refused */
	fs_caller_init(&c, req, mode);
	if (r == 0)
		r = store_mknod(store_of(req), &c.caller, parent, name, mode, &e);
	fs_reply_entry(req, r, &e);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs_caller c;
	struct entry e;
	int r = fs_gate(req, GATE_CHANGE);

	fs_caller_init(&c, req, 0);
	if (r == 0)
		r = store_symlink(store_of(req), &c.caller, target, parent, name, &e);
	fs_reply_entry(req, r, &e);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct entry e;
	int r = fs_gate(req, GATE_CHANGE);

	if (r == 0)
		r = store_link(store_of(req), ino, parent, name, &e);
	fs_reply_entry(req, r, &e);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r = fs_gate(req, GATE_DELETE);

	fs_reply_status(req, r < 0 ? r : store_unlink(store_of(req), parent, name));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r = fs_gate(req, GATE_DELETE);

	fs_reply_status(req, r < 0 ? r : store_rmdir(store_of(req), parent, name));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned int flags)
{
	int r = fs_gate(req, GATE_CHANGE);

	if (r == 0)
		r = store_rename(store_of(req), parent, name, new_parent, new_name, flags);
	fs_reply_status(req, r);
}
