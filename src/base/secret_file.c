/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(struct errmsg *reterr, int r, const char *what, const char *path,
		  const char *reason, const char *next)
{
	errmsg_next(reterr, "%s", next);
	return errmsg_fail(reterr, r, EXIT_CODE_CONFIG, "%s %s: %s", what, path, reason);
}

static int open_failed(struct errmsg *reterr, int err, const char *what, const char *path)
{
	bool gone = err == ENOENT || err == ENOTDIR;

	errmsg_next(reterr, gone ? "put the file back, or correct its path in the configuration"
			    : err == ENOMEM ? "free memory, raise RLIMIT_MEMLOCK, then try again"
					    : "make the file readable, then try again");
	return errmsg_fail(reterr, -err, gone ? EXIT_CODE_CONFIG : EXIT_CODE_FAILED,
			   "%s %s: cannot open: %s", what, path, errno_text(err));
}

static int check(const char *what, const char *path, size_t max, enum secret_file_kind kind,
		 const struct stat *st, struct errmsg *reterr)
{
	if (!S_ISREG(st->st_mode))
		return refuse(reterr, -EINVAL, what, path, "not a regular file",
			      "name a regular file");
	if (st->st_size == 0 || (uint64_t)st->st_size > max)
		return refuse(reterr, -EINVAL, what, path, "empty, or too long",
			      "name the right file");
	if (kind == SECRET_FILE_PROJECTED)
		return 0;
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return refuse(reterr, -EPERM, what, path, "owned by another user than root",
			      "chown root: the file");
	if (st->st_mode & 077)
		return refuse(reterr, -EPERM, what, path, "its group or others have access to it",
			      "chmod 0600 the file, and treat it as exposed if it ever was");
	return 0;
}

int secret_file_read(const char *what, const char *path, size_t max, enum secret_file_kind kind,
		     struct secret **ret_secret, struct errmsg *reterr)
{
	/* O_NONBLOCK: a FIFO must not hang the mount. */
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_SECRET struct secret *secret = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return open_failed(reterr, errno, what, path);
	r = check(what, path, max, kind, &st, reterr);
	if (r < 0)
		return r;
	secret = secret_new((size_t)st.st_size);
	if (!secret)
		return open_failed(reterr, ENOMEM, what, path);
	n = read(fd, secret_bytes(secret), secret_len(secret));
	if (n != st.st_size)
		return open_failed(reterr, n < 0 ? errno : EIO, what, path);
	*ret_secret = TAKE_PTR(secret);
	return 0;
}
