/* SPDX-License-Identifier: Apache-2.0 */
/* Whole-file replacement: temporary, fsync, rename, fsync of the directory. */
#include "tdefs/atomic_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int write_new(const struct sysio *sys, int dirfd, const char *path, mode_t mode,
		     const void *data, size_t len)
{
	int fd = sys->openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	int r, closed;

	if (fd < 0)
		return fd;
	r = sysio_pwrite_all(sys, fd, data, len, 0);
	if (r == 0)
		r = sys->fsync(fd);
	closed = sys->close(fd);
	return r < 0 ? r : closed;
}

static int sync_directory(const struct sysio *sys, int dirfd)
{
	int fd = sys->openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	int r, closed;

	if (fd < 0)
		return fd;
	r = sys->fsync(fd);
	closed = sys->close(fd);
	return r < 0 ? r : closed;
}

int atomic_file_write(const struct sysio *sys, int dirfd, const char *name, mode_t mode,
		      const void *data, size_t len)
{
	char path[NAME_MAX + 1];
	int r;

	if (snprintf(path, sizeof(path), "%s.new", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = sys->unlinkat(dirfd, path, 0); /* what a crash may have left */
	if (r < 0 && r != -ENOENT)
		return r;
	r = write_new(sys, dirfd, path, mode, data, len);
	if (r == 0)
		r = sys->renameat2(dirfd, path, dirfd, name, 0);
	if (r < 0) {
		IGNORE_RESULT(sys->unlinkat(dirfd, path, 0),
			      "the first error is the one to report");
		return r;
	}
	return sync_directory(sys, dirfd);
}

ssize_t atomic_file_read(const struct sysio *sys, int dirfd, const char *name, void *buf,
			 size_t max)
{
	/* O_NONBLOCK: a FIFO put there must not hang us. */
	int fd = sys->openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	uint8_t more;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = sysio_pread_full(sys, fd, buf, max, 0);
	if (n == (ssize_t)max) {
		ssize_t beyond = sys->pread(fd, &more, 1, (off_t)max);

		if (beyond != 0)
			n = beyond < 0 ? beyond : -EFBIG;
	}
	IGNORE_RESULT(sys->close(fd), "only read");
	return n;
}
