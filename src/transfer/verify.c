/* SPDX-License-Identifier: Apache-2.0 */
/* The last pass: both sides are read again, from their disks, and must be equal. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "transfer_internal.h"

struct file_pair {
	struct run *run;
	const struct tree_entry *e;
	int source, target;
	uint64_t size;
};

/* Where data begins at or after `off`; the file's end when nowhere. */
static int next_data(const struct file_pair *p, int fd, uint64_t off, uint64_t *ret_off)
{
	const off_t at = p->run->o->sys->lseek(fd, (off_t)off, SEEK_DATA);

	if (at < 0 && at != -ENXIO)
		return (int)at;
	*ret_off = at < 0 || (uint64_t)at > p->size ? p->size : (uint64_t)at;
	return 0;
}

/*
 * Not equal. In a copy that is not finished it goes, so that the next call makes
 * it again; a finished one is the operator's.
 */
static int not_equal(struct run *run, const struct tree_entry *e, const char *how)
{
	const bool mine = run->state != RUN_FINISHED;
	char what[128];

	(void)snprintf(what, sizeof(what), "%s%s", how, mine ? "; this copy was removed" : "");
	errmsg_next(run->tree.err, "look for a failing disk or memory (dmesg)%s",
		    mine ? ", then give the same command again: it copies this file again" : "");
	if (mine)
		IGNORE_RESULT(run->o->sys->unlinkat(e->target_dir, e->name, 0),
			      "the difference is the error to tell");
	return tree_fail_target(&run->tree, -EIO, e->path, what);
}

static int differs(const struct file_pair *p, uint64_t off)
{
	char how[96];
	int r = check_unchanged(p->run, p->e, p->source);

	if (r < 0)
		return r;
	(void)snprintf(how, sizeof(how), "differs from the source in its bytes from %ju on",
		       (uintmax_t)off);
	return not_equal(p->run, p->e, how);
}

static int compare_chunk(const struct file_pair *p, uint64_t off, size_t len)
{
	struct run *run = p->run;
	ssize_t n = sysio_pread_full(run->o->sys, p->source, run->chunk[0], len, off);

	if (n < 0)
		return tree_fail(&run->tree, (int)n, p->e->path, NULL);
	if ((size_t)n < len)
		return tree_fail(&run->tree, -EAGAIN, p->e->path, "it became shorter");
	n = sysio_pread_full(run->o->sys, p->target, run->chunk[1], len, off);
	if (n < 0)
		return tree_fail_target(&run->tree, (int)n, p->e->path, NULL);
	if ((size_t)n == len && memcmp(run->chunk[0], run->chunk[1], len) == 0)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (i >= (size_t)n || run->chunk[0][i] != run->chunk[1][i])
			return differs(p, off + i);
	return 0;
}

/* Where both have a hole they are equal. */
static int compare_data(const struct file_pair *p)
{
	uint64_t off = 0, in_source = 0, in_target = 0;

	while (off < p->size) {
		int r = next_data(p, p->source, off, &in_source);
		size_t len;

		if (r < 0)
			return tree_fail(&p->run->tree, r, p->e->path, NULL);
		r = next_data(p, p->target, off, &in_target);
		if (r < 0)
			return tree_fail_target(&p->run->tree, r, p->e->path, NULL);
		off = in_source < in_target ? in_source : in_target;
		len = p->size - off < TRANSFER_CHUNK ? (size_t)(p->size - off) : TRANSFER_CHUNK;
		r = compare_chunk(p, off, len);
		if (r < 0)
			return r;
		off += len;
		run_progress(p->run, len);
	}
	return 0;
}

static int drop_beneath(const struct file_pair *p)
{
	const struct transfer_observer *observer = p->run->o->observer;
	const int r = observer->drop_beneath(observer->arg, p->e->path);

	return r < 0 ? tree_fail_target(&p->run->tree, r, p->e->path,
					"what is cached of it cannot be dropped, so that its disk "
					"cannot be read")
		     : 0;
}

/* Only clean pages can be dropped: what is dirty goes to the disk first. */
static int read_from_disk(const struct file_pair *p)
{
	const struct transfer_options *o = p->run->o;
	const int fds[] = { p->source, p->target };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		int r = o->sys->fdatasync(fds[i]);

		if (r == 0)
			r = o->sys->fadvise(fds[i], 0, 0, POSIX_FADV_DONTNEED);
		if (r < 0)
			return i == 0 ? tree_fail(&p->run->tree, r, p->e->path, NULL)
				      : tree_fail_target(&p->run->tree, r, p->e->path, NULL);
	}
	return o->observer->drop_beneath ? drop_beneath(p) : 0;
}

static int compare_contents(struct run *run, const struct tree_entry *e)
{
	struct file_pair p = { .run = run, .e = e, .size = (uint64_t)e->st.st_size };
	int r;

	p.source = tree_open_source(&run->tree, e, 0);
	if (p.source < 0)
		return tree_fail(&run->tree, p.source, e->path, NULL);
	p.target = run->o->sys->openat(e->target_dir, e->name,
				       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME, 0);
	if (p.target < 0)
		r = tree_fail_target(&run->tree, p.target, e->path, NULL);
	else {
		r = read_from_disk(&p);
		if (r == 0)
			r = compare_data(&p);
		IGNORE_RESULT(run->o->sys->close(p.target), "only read");
	}
	IGNORE_RESULT(run->o->sys->close(p.source), "only read");
	return r;
}

static int compare_symlinks(struct run *run, const struct tree_entry *e)
{
	const struct sysio *sys = run->o->sys;
	char a[PATH_MAX], b[PATH_MAX];
	const ssize_t na = sys->readlinkat(e->source_dir, e->name, a, sizeof(a));
	const ssize_t nb = sys->readlinkat(e->target_dir, e->name, b, sizeof(b));

	if (na < 0)
		return tree_fail(&run->tree, (int)na, e->path, NULL);
	if (nb < 0)
		return tree_fail_target(&run->tree, (int)nb, e->path, NULL);
	return na == nb && memcmp(a, b, (size_t)na) == 0
		       ? 0
		       : not_equal(run, e, "leads elsewhere than the source's");
}

/* Names of one file in the source are names of one file in the target. */
static int compare_links(struct run *run, const struct tree_entry *e, const struct stat *target,
			 bool *ret_known)
{
	const struct tree_link *first = tree_links_find(&run->links, e->st.st_ino);

	*ret_known = first != NULL;
	if (tree_links_shared(&run->links, &e->st, target))
		return not_equal(run, e, "is one file with what, in the source, is another");
	if (!first) {
		int r = tree_links_add(&run->links, e->st.st_ino, target->st_ino, e->path);

		return r < 0 ? tree_fail(&run->tree, r, e->path, NULL) : 0;
	}
	return first->target == target->st_ino
		       ? 0
		       : tree_fail_target(&run->tree, -EIO, e->path,
					  "is not the file that it is a further name of");
}

static int compare_attributes(struct run *run, const struct tree_entry *e, struct stat *ret_target)
{
	int r = run->o->sys->fstatat(e->target_dir, e->name, ret_target, AT_SYMLINK_NOFOLLOW);

	if (r == -ENOENT)
		return tree_fail(&run->tree, -EAGAIN, e->path, "it came while the rest was copied");
	if (r < 0)
		return tree_fail_target(&run->tree, r, e->path, NULL);
	if (tree_same_attributes(ret_target, &e->st))
		return 0;
	return tree_fail_target(&run->tree, -EAGAIN, e->path,
				"has other attributes than the source's: one of them was changed");
}

static int verify_entry(void *arg, const struct tree_entry *e)
{
	struct run *run = arg;
	struct stat target;
	bool known = false;
	int r = compare_attributes(run, e, &target);

	run->progress.entries++;
	run_progress(run, 0);
	if (r == 0 && !S_ISDIR(e->st.st_mode) && (e->st.st_nlink > 1 || target.st_nlink > 1))
		r = compare_links(run, e, &target, &known);
	if (r < 0 || known || !run->contents)
		return r;
	if (S_ISREG(e->st.st_mode))
		return compare_contents(run, e);
	return S_ISLNK(e->st.st_mode) ? compare_symlinks(run, e) : 0;
}

int run_verify(struct run *run)
{
	const struct tree_visitor visitor = { .visit = verify_entry, .arg = run };
	int r;

	run->progress.phase = TRANSFER_VERIFY;
	r = tree_walk(&run->tree, &visitor);
	tree_links_release(&run->links);
	return r;
}
