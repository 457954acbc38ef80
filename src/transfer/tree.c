/* SPDX-License-Identifier: Apache-2.0 */
/* The walk: directory by directory, each opened through its parent's descriptor. */
#include "tree.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

#define LOST_FOUND "lost+found"

static enum exit_code exit_code_of(int r)
{
	switch (r) {
	case -EROFS:
		return EXIT_CODE_READ_ONLY;
	case -EKEYREVOKED:
	case -ENOKEY:
		return EXIT_CODE_INACCESSIBLE;
	case -ENOTCONN:
		return EXIT_CODE_NOT_MOUNTED;
	case -EAGAIN:
	case -EBUSY:
		return EXIT_CODE_TRY_AGAIN;
	default:
		return EXIT_CODE_FAILED;
	}
}

static int fail_at(struct tree *t, int r, const char *root, const char *path, const char *what)
{
	const char *slash = path[0] ? "/" : "";

	if (!t->err->next[0])
		errmsg_next(t->err, "put it right and give the same command again: it goes on "
				    "where it was");
	if (what)
		return errmsg_fail(t->err, r, exit_code_of(r), "%s%s%s: %s", root, slash, path,
				   what);
	return errmsg_fail(t->err, r, exit_code_of(r), "%s%s%s: %s", root, slash, path,
			   errno_text(r));
}

int tree_fail(struct tree *t, int r, const char *path, const char *what)
{
	return fail_at(t, r, t->o->source_path, path, what);
}

int tree_fail_target(struct tree *t, int r, const char *path, const char *what)
{
	return fail_at(t, r, t->o->target_path, path, what);
}

bool tree_same_attributes(const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
	    a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		return false;
	return !S_ISREG(a->st_mode) || a->st_size == b->st_size;
}

int tree_open_source(const struct tree *t, const struct tree_entry *e, int flags)
{
	const struct sysio *sys = t->o->sys;
	/* O_NONBLOCK: what became a FIFO must not hang us. */
	int fd = sys->openat(e->source_dir, e->name,
			     flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME, 0);
	struct stat st;
	int r;

	if (fd < 0)
		return fd == -ELOOP || fd == -ENOTDIR ? -ESTALE : fd;
	r = sys->fstatat(fd, "", &st, AT_EMPTY_PATH);
	if (r == 0 && (st.st_dev != e->st.st_dev || st.st_ino != e->st.st_ino))
		r = -ESTALE;
	if (r < 0) {
		IGNORE_RESULT(sys->close(fd), "nothing was written");
		return r;
	}
	return fd;
}

static bool is_left_out(const char *name, bool is_root, bool is_mount)
{
	return is_root &&
	       (strcmp(name, TRANSFER_DIR) == 0 || (is_mount && strcmp(name, LOST_FOUND) == 0));
}

int tree_has_names(struct tree *t, int fd, bool *ret_some)
{
	CLEANUP_NAMES struct names names = { 0 };
	int r = names_read(t->o->sys, fd, &names);

	*ret_some = false;
	for (size_t i = 0; r == 0 && i < names.count; i++)
		*ret_some |= !is_left_out(names.list[i], true, t->o->target_is_mount);
	return r;
}

/* What only the target has was not put there by us. */
static int check_target_names(struct tree *t, const struct names *source, int target_fd)
{
	CLEANUP_NAMES struct names target = { 0 };
	const bool is_root = t->path[0] == '\0';
	int r = names_read(t->o->sys, target_fd, &target);

	if (r < 0)
		return tree_fail_target(t, r, t->path, NULL);
	for (size_t i = 0; i < target.count; i++) {
		char what[NAME_MAX + 64];

		if (is_left_out(target.list[i], is_root, t->o->target_is_mount) ||
		    names_have(source, target.list[i]))
			continue;
		errmsg_next(t->err, "remove it, or empty the target and begin again");
		(void)snprintf(what, sizeof(what), "has \"%s\", which the source does not have",
			       target.list[i]);
		return tree_fail_target(t, -EEXIST, t->path, what);
	}
	return 0;
}

static int walk(struct tree *t, const struct tree_visitor *v, int source_fd, int target_fd,
		unsigned depth);

static int descend(struct tree *t, const struct tree_visitor *v, const struct tree_entry *e,
		   unsigned depth)
{
	const struct sysio *sys = t->o->sys;
	int source_fd, target_fd = -1, r = 0;

	if (depth == TRANSFER_DEPTH_MAX)
		return tree_fail(t, -ELOOP, e->path,
				 "there are too many directories in one another");
	source_fd = tree_open_source(t, e, O_DIRECTORY);
	if (source_fd < 0)
		return tree_fail(t, source_fd, e->path, NULL);
	if (!t->scan_only) {
		target_fd =
			sys->openat(e->target_dir, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (target_fd < 0)
			r = tree_fail_target(t, target_fd, e->path, NULL);
	}
	if (r == 0)
		r = walk(t, v, source_fd, target_fd, depth + 1);
	if (r == 0 && v->leave)
		r = v->leave(v->arg, e, target_fd);
	IGNORE_RESULT(sys->close(source_fd), "only read");
	if (target_fd >= 0)
		IGNORE_RESULT(sys->close(target_fd), "it was synced");
	return r;
}

static int walk_name(struct tree *t, const struct tree_visitor *v, const struct tree_entry *parent,
		     dev_t device, unsigned depth)
{
	struct tree_entry e = *parent;
	int r = t->o->sys->fstatat(e.source_dir, e.name, &e.st, AT_SYMLINK_NOFOLLOW);

	if (r < 0)
		return tree_fail(t, r, t->path, NULL);
	if (e.st.st_dev != device)
		return tree_fail(t, -EXDEV, t->path,
				 "another file system is mounted there: move it by itself");
	r = v->visit(v->arg, &e);
	return r == 0 && S_ISDIR(e.st.st_mode) ? descend(t, v, &e, depth) : r;
}

static int walk(struct tree *t, const struct tree_visitor *v, int source_fd, int target_fd,
		unsigned depth)
{
	CLEANUP_NAMES struct names names = { 0 };
	const size_t end = strlen(t->path);
	struct stat st;
	int r = t->o->sys->fstatat(source_fd, "", &st, AT_EMPTY_PATH);

	if (r == 0)
		r = names_read(t->o->sys, source_fd, &names);
	if (r < 0)
		return tree_fail(t, r, t->path, NULL);
	if (target_fd >= 0)
		r = check_target_names(t, &names, target_fd);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		const struct tree_entry e = { .path = t->path,
					      .name = names.list[i],
					      .source_dir = source_fd,
					      .target_dir = target_fd };
		int len;

		if (is_left_out(e.name, end == 0, t->o->source_is_mount))
			continue;
		len = snprintf(t->path + end, sizeof(t->path) - end, "%s%s", end ? "/" : "",
			       e.name);
		if (len >= (int)(sizeof(t->path) - end))
			r = tree_fail(t, -ENAMETOOLONG, "", "a path in it is too long");
		else
			r = walk_name(t, v, &e, st.st_dev, depth);
		t->path[end] = '\0';
	}
	return r;
}

int tree_walk(struct tree *t, const struct tree_visitor *visitor)
{
	t->path[0] = '\0';
	return walk(t, visitor, t->o->source_fd, t->scan_only ? -1 : t->o->target_fd, 0);
}

static int compare_links(const void *a, const void *b)
{
	const struct tree_link *x = a, *y = b;

	return x->source < y->source ? -1 : x->source > y->source;
}

const struct tree_link *tree_links_find(const struct tree_links *links, ino_t source)
{
	const struct tree_link key = { .source = source };
	struct tree_link *const *found = tfind(&key, &links->root, compare_links);

	return found ? *found : NULL;
}

static int compare_targets(const void *a, const void *b)
{
	const struct tree_link *x = a, *y = b;

	return x->target < y->target ? -1 : x->target > y->target;
}

bool tree_links_shared(const struct tree_links *links, const struct stat *source,
		       const struct stat *target)
{
	const struct tree_link key = { .target = target->st_ino };
	struct tree_link *const *found;

	if (S_ISDIR(source->st_mode) || target->st_nlink == 1)
		return false;
	found = tfind(&key, &links->by_target, compare_targets);
	return source->st_nlink == 1 || (found && (*found)->source != source->st_ino);
}

int tree_links_add(struct tree_links *links, ino_t source, ino_t target, const char *path)
{
	struct tree_link *link = malloc(sizeof(*link) + strlen(path) + 1);

	if (!link)
		return -ENOMEM;
	link->source = source;
	link->target = target;
	memcpy(link->path, path, strlen(path) + 1);
	if (!tsearch(link, &links->by_target, compare_targets)) {
		free(link);
		return -ENOMEM;
	}
	if (tsearch(link, &links->root, compare_links))
		return 0;
	IGNORE_RESULT(tdelete(link, &links->by_target, compare_targets), "as it was");
	free(link);
	return -ENOMEM;
}

static void keep(void *link)
{
	(void)link; /* it is in the other tree, too */
}

void tree_links_release(struct tree_links *links)
{
	tdestroy(links->by_target, keep);
	tdestroy(links->root, free);
	*links = (struct tree_links){ 0 };
}
