/* SPDX-License-Identifier: Apache-2.0 */
/* The second pass: each name of the source gets its equal, complete before it has the name. */
#include <errno.h>
#include <string.h>

#include "transfer_internal.h"

static int failed(struct run *run, const struct tree_entry *e, int r)
{
	return r < 0 ? tree_fail_target(&run->tree, r, e->path, NULL) : 0;
}

static int forget_other(const struct run *run)
{
	int r = run->o->sys->unlinkat(run->work_fd, WORK_OTHER, 0);

	return r == -ENOENT ? 0 : r;
}

static int take_name(struct run *run, const struct tree_entry *e, const char *from)
{
	return failed(run, e,
		      run->o->sys->renameat2(run->work_fd, from, e->target_dir, e->name, 0));
}

/* WORK_OTHER is made; attributes, then its name. */
static int dress_other(struct run *run, const struct tree_entry *e)
{
	int r = copy_attributes(run, e->path, run->work_fd, WORK_OTHER, &e->st);

	return r < 0 ? r : take_name(run, e, WORK_OTHER);
}

static int copy_symlink(struct run *run, const struct tree_entry *e)
{
	char target[PATH_MAX];
	ssize_t len = run->o->sys->readlinkat(e->source_dir, e->name, target, sizeof(target) - 1);
	int r;

	if (len < 0)
		return tree_fail(&run->tree, (int)len, e->path, NULL);
	target[len] = '\0';
	r = forget_other(run);
	if (r == 0)
		r = run->o->sys->symlinkat(target, run->work_fd, WORK_OTHER);
	return r < 0 ? failed(run, e, r) : dress_other(run, e);
}

static int copy_node(struct run *run, const struct tree_entry *e)
{
	int r = forget_other(run);

	if (r == 0)
		r = run->o->sys->mknodat(run->work_fd, WORK_OTHER, (e->st.st_mode & S_IFMT) | 0600,
					 0);
	return r < 0 ? failed(run, e, r) : dress_other(run, e);
}

/* A further name of a file that has its first. */
static int copy_link(struct run *run, const struct tree_entry *e, const struct tree_link *first)
{
	const struct sysio *sys = run->o->sys;
	struct stat st;
	int r = sys->fstatat(e->target_dir, e->name, &st, AT_SYMLINK_NOFOLLOW);

	if (r == 0 && st.st_ino == first->target)
		return 0;
	r = r == -ENOENT || r == 0 ? forget_other(run) : r;
	if (r == 0)
		r = sys->linkat(run->o->target_fd, first->path, run->work_fd, WORK_OTHER, 0);
	return r < 0 ? failed(run, e, r) : take_name(run, e, WORK_OTHER);
}

/* A name comes last: whoever has it, and these attributes, and is no other's, is complete. */
static int is_there(struct run *run, const struct tree_entry *e, bool *ret_there)
{
	struct stat st;
	int r = run->o->sys->fstatat(e->target_dir, e->name, &st, AT_SYMLINK_NOFOLLOW);

	*ret_there = r == 0 && tree_same_attributes(&st, &e->st) &&
		     !tree_links_shared(&run->links, &e->st, &st);
	return r == -ENOENT ? 0 : failed(run, e, r);
}

static int copy_by_type(struct run *run, const struct tree_entry *e)
{
	int r;

	switch (e->st.st_mode & S_IFMT) {
	case S_IFREG:
		r = copy_file(run, e);
		return r < 0 ? r : take_name(run, e, WORK_FILE);
	case S_IFLNK:
		return copy_symlink(run, e);
	case S_IFIFO:
	case S_IFSOCK:
		return copy_node(run, e);
	default:
		return tree_fail(&run->tree, -ESTALE, e->path,
				 "it is another since it was looked at");
	}
}

static int remember_first(struct run *run, const struct tree_entry *e)
{
	struct stat st;
	int r = run->o->sys->fstatat(e->target_dir, e->name, &st, AT_SYMLINK_NOFOLLOW);

	if (r == 0)
		r = tree_links_add(&run->links, e->st.st_ino, st.st_ino, e->path);
	return failed(run, e, r);
}

static int copy_other(struct run *run, const struct tree_entry *e)
{
	const bool several = e->st.st_nlink > 1;
	const struct tree_link *first = several ? tree_links_find(&run->links, e->st.st_ino) : NULL;
	bool there;
	int r;

	if (first)
		return copy_link(run, e, first);
	r = is_there(run, e, &there);
	if (r == 0 && there) {
		const uint64_t bytes = S_ISREG(e->st.st_mode) ? (uint64_t)e->st.st_blocks * 512 : 0;

		run->progress.skipped_bytes += bytes;
		run_progress(run, bytes);
	} else if (r == 0)
		r = copy_by_type(run, e);
	return r == 0 && several ? remember_first(run, e) : r;
}

static int copy_entry(void *arg, const struct tree_entry *e)
{
	struct run *run = arg;
	int r;

	run->progress.entries++;
	if (!S_ISDIR(e->st.st_mode))
		return copy_other(run, e);
	/* Whose it will be it gets when all is in it. */
	r = run->o->sys->mkdirat(e->target_dir, e->name, 0700);
	return r == -EEXIST ? 0 : failed(run, e, r);
}

static int leave_directory(void *arg, const struct tree_entry *e, int target_fd)
{
	struct run *run = arg;
	int r = copy_attributes(run, e->path, target_fd, ".", &e->st);

	return r < 0 ? r : failed(run, e, run->o->sys->fsync(target_fd));
}

int run_copy(struct run *run)
{
	const struct tree_visitor visitor = { copy_entry, leave_directory, run };
	int r;

	run->progress.phase = TRANSFER_COPY;
	r = tree_walk(&run->tree, &visitor);
	if (r == 0) {
		r = run->o->sys->fsync(run->o->target_fd);
		if (r < 0)
			r = tree_fail_target(&run->tree, r, "", NULL);
	}
	tree_links_release(&run->links);
	return r;
}
