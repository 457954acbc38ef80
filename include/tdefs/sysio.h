/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of system calls that touch a volume's backing. Code that keeps
 * files calls through it, so that a test can fail the n-th call, record all of
 * them, or stop the world between two.
 *
 * Every slot answers a value >= 0 or a negative errno, and otherwise means what
 * its manual page says. All are thread-safe. The table is not modified after
 * it was handed out.
 */
#ifndef TDEFS_SYSIO_H
#define TDEFS_SYSIO_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

#include "tdefs/cleanup.h"

/* A name of a directory as getdents64(2) lays it out. */
struct getdents_entry {
	uint64_t ino;
	int64_t next;
	uint16_t len; /* bytes up to the next entry */
	uint8_t type;
	char name[];
};

struct sysio {
	const char *name;

	/* files and their data */
	int (*openat)(int dirfd, const char *path, int flags, mode_t mode);
	int (*open_by_handle_at)(int mount_fd, struct file_handle *handle, int flags);
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *buf, size_t len, off_t off);
	ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t off);
	int (*ftruncate)(int fd, off_t len);
	int (*fallocate)(int fd, int mode, off_t off, off_t len);
	off_t (*lseek)(int fd, off_t off, int whence);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	int (*sync_file_range)(int fd, off_t off, off_t len, unsigned flags);
	int (*syncfs)(int fd);
	int (*fadvise)(int fd, off_t off, off_t len, int advice);
	/*
	 * End of the last extent allocated at or beyond `off` (bytes), 0 when there
	 * is none or the file system cannot tell (FS_IOC_FIEMAP).
	 */
	off_t (*allocated_end)(int fd, off_t off);

	/* names */
	int (*name_to_handle_at)(int dirfd, const char *path, struct file_handle *handle,
				 int *ret_mount_id, int flags);
	int (*linkat)(int olddirfd, const char *oldpath, int newdirfd, const char *newpath,
		      int flags);
	int (*mkdirat)(int dirfd, const char *path, mode_t mode);
	int (*mknodat)(int dirfd, const char *path, mode_t mode, dev_t dev);
	int (*symlinkat)(const char *target, int dirfd, const char *path);
	int (*unlinkat)(int dirfd, const char *path, int flags);
	int (*renameat2)(int olddirfd, const char *oldpath, int newdirfd, const char *newpath,
			 unsigned flags);
	ssize_t (*readlinkat)(int dirfd, const char *path, char *buf, size_t len);
	ssize_t (*getdents64)(int fd, void *buf, size_t len); /* struct getdents_entry each */

	/* attributes */
	int (*fstatat)(int dirfd, const char *path, struct stat *ret_st, int flags);
	int (*fstatfs)(int fd, struct statfs *ret_st);
	int (*fchmodat)(int dirfd, const char *path, mode_t mode, int flags);
	int (*fchownat)(int dirfd, const char *path, uid_t uid, gid_t gid, int flags);
	int (*utimensat)(int dirfd, const char *path, const struct timespec times[2], int flags);
};

/* The kernel's own calls. */
extern const struct sysio sysio_kernel;

/* Write all of `len` bytes: 0, or the errno of the call that failed (some may be written). */
int sysio_pwrite_all(const struct sysio *sys, int fd, const void *buf, size_t len,
		     uint64_t off) WARN_UNUSED;

/* Read until `len` bytes or end of file: the count, or a negative errno. */
ssize_t sysio_pread_full(const struct sysio *sys, int fd, void *buf, size_t len,
			 uint64_t off) WARN_UNUSED;

#endif
