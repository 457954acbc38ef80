/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tdefs/errmsg.h"

struct walker {
	const struct walk_ops *ops;
	const struct directory_id *roots;
	size_t nroots;
	unsigned depth;
	size_t len; /* of the path of where we are */
	char path[PATH_MAX + WALK_DEPTH_MAX * (NAME_MAX + 1)];
};

int directory_id_of(int fd, struct directory_id *ret_id)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_id = (struct directory_id){ st.st_dev, st.st_ino };
	return 0;
}

static bool is_root(const struct walker *w, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return false;
	for (size_t i = 0; i < w->nroots; i++)
		if (w->roots[i].dev == st.st_dev && w->roots[i].ino == st.st_ino)
			return true;
	return false;
}

static int missed(const struct walker *w, int error)
{
	return w->ops->missed(w->ops->arg, w->path,
			      error == -EXDEV ? "another file system is mounted there"
					      : errno_text(error));
}

static int look(struct walker *w, int fd);

/* The length of where we are, to go back to. */
static size_t append_name(struct walker *w, const char *name)
{
	const size_t len = w->len, more = strlen(name);

	if (w->path[len - 1] != '/')
		w->path[w->len++] = '/';
	memcpy(w->path + w->len, name, more + 1);
	w->len += more;
	return len;
}

static void go_back(struct walker *w, size_t len)
{
	w->len = len;
	w->path[len] = '\0';
}

/* What is gone meanwhile, or no directory by now, is not missed. */
static int enter(struct walker *w, int dirfd, const char *name)
{
	const struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
				      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
						 RESOLVE_NO_XDEV };
	size_t len;
	int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	int r = fd < 0 ? -errno : fd;

	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP ||
	    (r == -EXDEV && is_root(w, dirfd, name)))
		return 0;
	len = append_name(w, name);
	w->depth++;
	r = r < 0 ? missed(w, r) : look(w, fd);
	w->depth--;
	go_back(w, len);
	return r;
}

static int show_file(struct walker *w, int dirfd, const char *name)
{
	const size_t len = append_name(w, name);
	int r = w->ops->file(w->ops->arg, dirfd, name, w->path);

	go_back(w, len);
	return r;
}

static bool may_be_entered(const struct dirent *e)
{
	return (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) && strcmp(e->d_name, ".") != 0 &&
	       strcmp(e->d_name, "..") != 0;
}

static int go_through(struct walker *w, DIR *dir)
{
	const struct dirent *e;
	int r = 0;

	while (r == 0 && (errno = 0, e = readdir(dir))) {
		if (may_be_entered(e))
			r = enter(w, dirfd(dir), e->d_name);
		if (r == 0 && (e->d_type == DT_REG || e->d_type == DT_UNKNOWN))
			r = show_file(w, dirfd(dir), e->d_name);
	}
	return r == 0 && errno ? missed(w, -errno) : r;
}

/* Takes the descriptor over. */
static int look(struct walker *w, int fd)
{
	CLEANUP_CLOSE int own = fd;
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	int r = w->ops->visit(w->ops->arg, own, w->path);

	if (r != 0)
		return r < 0 ? r : 0;
	if (w->depth == WALK_DEPTH_MAX)
		return missed(w, -ENAMETOOLONG);
	dir = fdopendir(own);
	if (!dir)
		return missed(w, -errno);
	IGNORE_RESULT(TAKE_FD(own), "it is the stream's");
	return go_through(w, dir);
}

int walk(const char *path, const struct directory_id *roots, size_t nroots,
	 const struct walk_ops *ops)
{
	CLEANUP_FREE struct walker *w = calloc(1, sizeof(*w));
	int fd;

	if (!w || strlen(path) >= PATH_MAX)
		return -ENOMEM;
	w->ops = ops;
	w->roots = roots;
	w->nroots = nroots;
	w->len = strlen(path);
	memcpy(w->path, path, w->len + 1);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? missed(w, -errno) : look(w, fd);
}
