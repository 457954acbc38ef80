/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "tdefs/atomic_file.h"

#define CONF_MAX ((size_t)1024 * 1024)

static int failed(struct call *call, int r, const char *what)
{
	errmsg_next(&call->err, "look at the file, its directory and its disk; it is as it was");
	return errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: %s: %s", call->config->path, what,
			   errno_text(r));
}

static int read_at(int dirfd, const char *name, char **ret_text)
{
	CLEANUP_FREE char *text = malloc(CONF_MAX + 1);
	ssize_t n;

	if (!text)
		return -ENOMEM;
	n = atomic_file_read(&sysio_kernel, dirfd, name, text, CONF_MAX);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	*ret_text = TAKE_PTR(text);
	return 0;
}

/* Its directory, and its name there, behind all symbolic links. */
struct place {
	int dirfd;
	const char *name;
	char path[PATH_MAX];
};

static int open_place(struct call *call, struct place *p)
{
	char *slash;

	p->dirfd = -1;
	if (!realpath(call->config->path, p->path))
		return -errno;
	slash = strrchr(p->path, '/');
	*slash = '\0';
	p->name = slash + 1;
	p->dirfd = open(slash == p->path ? "/" : p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->dirfd < 0 ? -errno : 0;
}

static void close_place(const struct place *p)
{
	cleanup_close_(&p->dirfd);
}

int conf_read(struct call *call, char **ret_text)
{
	CLEANUP(close_place) struct place p;
	int r = open_place(call, &p);

	if (r == 0)
		r = read_at(p.dirfd, p.name, ret_text);
	return r < 0 ? failed(call, r, "cannot read") : 0;
}

static int copy_attribute(int from, int to, const char *name)
{
	CLEANUP_FREE char *value = malloc(XATTR_SIZE_MAX);
	ssize_t n;

	if (!value)
		return -ENOMEM;
	n = fgetxattr(from, name, value, XATTR_SIZE_MAX);
	return n < 0 || fsetxattr(to, name, value, (size_t)n, 0) < 0 ? -errno : 0;
}

static int copy_attributes(int from, int to)
{
	char names[4096];
	const ssize_t len = flistxattr(from, names, sizeof(names));
	int r = len < 0 && errno != ENOTSUP ? -errno : 0;

	for (ssize_t at = 0; r == 0 && at < len; at += (ssize_t)strlen(names + at) + 1)
		r = copy_attribute(from, to, names + at);
	return r;
}

/* All that `old` is but its text. */
static int fill(int fd, int old, const char *text)
{
	struct stat st;
	int r = sysio_pwrite_all(&sysio_kernel, fd, text, strlen(text), 0);

	if (r < 0)
		return r;
	if (fstat(old, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0 ||
	    fchmod(fd, st.st_mode & 07777) < 0)
		return -errno;
	r = copy_attributes(old, fd);
	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

static int replace_at(int dirfd, const char *name, const char *text)
{
	CLEANUP_CLOSE int old = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_CLOSE int fd = -1;
	char new_name[NAME_MAX + 1];
	int r;

	if (old < 0)
		return -errno;
	/* No name that an operator or a package manager might give a file of its own. */
	if (snprintf(new_name, sizeof(new_name), ".%s." PROGRAM, name) >= (int)sizeof(new_name))
		return -ENAMETOOLONG;
	if (unlinkat(dirfd, new_name, 0) < 0 && errno != ENOENT) /* what a crash left */
		return -errno;
	fd = openat(dirfd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fill(fd, old, text);
	if (r == 0 && renameat(dirfd, new_name, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, new_name, 0);
	return r == 0 && fsync(dirfd) < 0 ? -errno : r;
}

int conf_replace(struct call *call, const char *was, const char *now)
{
	CLEANUP(close_place) struct place p;
	CLEANUP_FREE char *text = NULL;
	int r = open_place(call, &p);

	if (r == 0 && flock(p.dirfd, LOCK_EX) < 0) /* against others of our own */
		r = -errno;
	if (r == 0)
		r = read_at(p.dirfd, p.name, &text);
	if (r == 0 && strcmp(text, was) != 0) {
		errmsg_next(&call->err, "try again");
		return errmsg_fail(&call->err, -EAGAIN, EXIT_CODE_TRY_AGAIN,
				   "%s was changed meanwhile: it is left alone",
				   call->config->path);
	}
	if (r == 0)
		r = replace_at(p.dirfd, p.name, now);
	return r < 0 ? failed(call, r, "cannot write") : 0;
}
