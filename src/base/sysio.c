/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's system calls as a table, with errors as negative errno. Adds no policy. */
#include "tdefs/sysio.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The value of a system call, or its errno as a negative number. */
#define ANSWER(call)                                                                               \
	({                                                                                         \
		__auto_type answer_ = (call);                                                      \
		answer_ < 0 ? (__typeof__(answer_))(-errno) : answer_;                             \
	})

static int kernel_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return ANSWER(openat(dirfd, path, flags | O_CLOEXEC, mode));
}

static int kernel_open_by_handle_at(int mount_fd, struct file_handle *handle, int flags)
{
	return ANSWER(open_by_handle_at(mount_fd, handle, flags | O_CLOEXEC));
}

static int kernel_close(int fd)
{
	return ANSWER(close(fd));
}

static ssize_t kernel_pread(int fd, void *buf, size_t len, off_t off)
{
	return ANSWER(pread(fd, buf, len, off));
}

static ssize_t kernel_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return ANSWER(pwrite(fd, buf, len, off));
}

static int kernel_ftruncate(int fd, off_t len)
{
	return ANSWER(ftruncate(fd, len));
}

static int kernel_fallocate(int fd, int mode, off_t off, off_t len)
{
	return ANSWER(fallocate(fd, mode, off, len));
}

static off_t kernel_lseek(int fd, off_t off, int whence)
{
	return ANSWER(lseek(fd, off, whence));
}

static int kernel_fsync(int fd)
{
	return ANSWER(fsync(fd));
}

static int kernel_fdatasync(int fd)
{
	return ANSWER(fdatasync(fd));
}

static int kernel_sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
	return ANSWER(sync_file_range(fd, off, len, flags));
}

static int kernel_syncfs(int fd)
{
	return ANSWER(syncfs(fd));
}

/* posix_fadvise(3) returns its error. */
static int kernel_fadvise(int fd, off_t off, off_t len, int advice)
{
	return -posix_fadvise(fd, off, len, advice);
}

/*
 * XFS allocates past the end on its own when a file grows, and takes it back
 * some time after the file was closed; what fallocate(2) asked for it marks.
 */
static bool is_speculative(int fd)
{
	struct fsxattr attributes;
	struct statfs st;

	return fstatfs(fd, &st) == 0 && st.f_type == XFS_SUPER_MAGIC &&
	       ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0 &&
	       !(attributes.fsx_xflags & FS_XFLAG_PREALLOC);
}

static off_t mapped_end(int fd, off_t off)
{
	enum { EXTENTS = 16 };
	uint64_t room[(sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)) / 8 + 1];
	struct fiemap *map = (struct fiemap *)room;
	uint64_t start = (uint64_t)off;
	uint64_t end = 0;

	for (;;) {
		const struct fiemap_extent *last;

		*map = (struct fiemap){ .fm_start = start,
					.fm_length = FIEMAP_MAX_OFFSET - start,
					.fm_extent_count = EXTENTS };
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0 || map->fm_mapped_extents == 0)
			return (off_t)end;
		last = &map->fm_extents[map->fm_mapped_extents - 1];
		end = last->fe_logical + last->fe_length;
		if (last->fe_flags & FIEMAP_EXTENT_LAST || end <= start)
			return (off_t)end;
		start = end;
	}
}

static off_t kernel_allocated_end(int fd, off_t off)
{
	off_t end = mapped_end(fd, off);

	return end > off && is_speculative(fd) ? off : end;
}

static int kernel_name_to_handle_at(int dirfd, const char *path, struct file_handle *handle,
				    int *ret_mount_id, int flags)
{
	return ANSWER(name_to_handle_at(dirfd, path, handle, ret_mount_id, flags));
}

static int kernel_linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath,
			 int flags)
{
	return ANSWER(linkat(olddirfd, oldpath, newdirfd, newpath, flags));
}

static int kernel_mkdirat(int dirfd, const char *path, mode_t mode)
{
	return ANSWER(mkdirat(dirfd, path, mode));
}

static int kernel_mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
	return ANSWER(mknodat(dirfd, path, mode, dev));
}

static int kernel_symlinkat(const char *target, int dirfd, const char *path)
{
	return ANSWER(symlinkat(target, dirfd, path));
}

static int kernel_unlinkat(int dirfd, const char *path, int flags)
{
	return ANSWER(unlinkat(dirfd, path, flags));
}

static int kernel_renameat2(int olddirfd, const char *oldpath, int newdirfd, const char *newpath,
			    unsigned flags)
{
	return ANSWER(renameat2(olddirfd, oldpath, newdirfd, newpath, flags));
}

static ssize_t kernel_readlinkat(int dirfd, const char *path, char *buf, size_t len)
{
	return ANSWER(readlinkat(dirfd, path, buf, len));
}

static ssize_t kernel_getdents64(int fd, void *buf, size_t len)
{
	return ANSWER(syscall(SYS_getdents64, fd, buf, len));
}

static int kernel_fstatat(int dirfd, const char *path, struct stat *ret_st, int flags)
{
	return ANSWER(fstatat(dirfd, path, ret_st, flags));
}

static int kernel_fstatfs(int fd, struct statfs *ret_st)
{
	return ANSWER(fstatfs(fd, ret_st));
}

static int kernel_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	return ANSWER(fchmodat(dirfd, path, mode, flags));
}

static int kernel_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	return ANSWER(fchownat(dirfd, path, uid, gid, flags));
}

static int kernel_utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
	return ANSWER(utimensat(dirfd, path, times, flags));
}

int sysio_pwrite_all(const struct sysio *sys, int fd, const void *buf, size_t len, uint64_t off)
{
	const uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = sys->pwrite(fd, p, len, (off_t)off);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t sysio_pread_full(const struct sysio *sys, int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = sys->pread(fd, (uint8_t *)buf + done, len - done, (off_t)(off + done));

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

const struct sysio sysio_kernel = {
	.name = "kernel",
	.openat = kernel_openat,
	.open_by_handle_at = kernel_open_by_handle_at,
	.close = kernel_close,
	.pread = kernel_pread,
	.pwrite = kernel_pwrite,
	.ftruncate = kernel_ftruncate,
	.fallocate = kernel_fallocate,
	.lseek = kernel_lseek,
	.fsync = kernel_fsync,
	.fdatasync = kernel_fdatasync,
	.sync_file_range = kernel_sync_file_range,
	.syncfs = kernel_syncfs,
	.fadvise = kernel_fadvise,
	.allocated_end = kernel_allocated_end,
	.name_to_handle_at = kernel_name_to_handle_at,
	.linkat = kernel_linkat,
	.mkdirat = kernel_mkdirat,
	.mknodat = kernel_mknodat,
	.symlinkat = kernel_symlinkat,
	.unlinkat = kernel_unlinkat,
	.renameat2 = kernel_renameat2,
	.readlinkat = kernel_readlinkat,
	.getdents64 = kernel_getdents64,
	.fstatat = kernel_fstatat,
	.fstatfs = kernel_fstatfs,
	.fchmodat = kernel_fchmodat,
	.fchownat = kernel_fchownat,
	.utimensat = kernel_utimensat,
};
