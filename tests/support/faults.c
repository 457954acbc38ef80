/* SPDX-License-Identifier: Apache-2.0 */
/* See faults.h. */
#include "faults.h"

#include <assert.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static unsigned countdown, calls;
static int fault_error;
static bool fault_for_ever, fault_hit, fault_kills;
static const char *only;

void faults_arm(unsigned n, int error, bool for_ever)
{
	LOCK_SCOPE(&lock);
	countdown = n;
	fault_error = error;
	fault_for_ever = for_ever;
	fault_hit = fault_kills = false;
}

void faults_kill(unsigned n)
{
	faults_arm(n, 0, true);
	LOCK_SCOPE(&lock);
	fault_kills = true;
}

bool faults_disarm(void)
{
	LOCK_SCOPE(&lock);
	countdown = 0;
	return fault_hit;
}

void faults_only(const char *slot)
{
	LOCK_SCOPE(&lock);
	only = slot;
	calls = 0;
}

unsigned faults_calls(void)
{
	LOCK_SCOPE(&lock);
	return calls;
}

unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int meet(const char *slot)
{
	LOCK_SCOPE(&lock);
	if (only && strcmp(only, slot) != 0)
		return 0;
	calls++;
	if (countdown == 0)
		return 0;
	if (countdown > 1) {
		countdown--;
		return 0;
	}
	if (fault_kills)
		IGNORE_RESULT(raise(SIGKILL), "it does not return");
	fault_hit = true;
	if (!fault_for_ever)
		countdown = 0;
	return fault_error;
}

/* One slot: its arguments, and the call to the kernel's table. */
#define FAULTY(type, slot, parameters, arguments)                                                  \
	static type faulty_##slot parameters                                                       \
	{                                                                                          \
		int r = meet(#slot);                                                               \
                                                                                                   \
		return r < 0 ? r : sysio_kernel.slot arguments;                                    \
	}

/* Linux closes a descriptor even when close(2) reports an error. */
static int faulty_close(int fd)
{
	int r = meet("close"), closed = sysio_kernel.close(fd);

	return r < 0 ? r : closed;
}

FAULTY(int, openat, (int dirfd, const char *path, int flags, mode_t mode),
       (dirfd, path, flags, mode))
FAULTY(int, open_by_handle_at, (int mount_fd, struct file_handle *handle, int flags),
       (mount_fd, handle, flags))
FAULTY(ssize_t, pread, (int fd, void *buf, size_t len, off_t off), (fd, buf, len, off))
FAULTY(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t off), (fd, buf, len, off))
FAULTY(int, ftruncate, (int fd, off_t len), (fd, len))
FAULTY(int, fallocate, (int fd, int mode, off_t off, off_t len), (fd, mode, off, len))
FAULTY(off_t, lseek, (int fd, off_t off, int whence), (fd, off, whence))
FAULTY(int, fsync, (int fd), (fd))
FAULTY(int, fdatasync, (int fd), (fd))
FAULTY(int, sync_file_range, (int fd, off_t off, off_t len, unsigned flags), (fd, off, len, flags))
FAULTY(int, syncfs, (int fd), (fd))
FAULTY(int, fadvise, (int fd, off_t off, off_t len, int advice), (fd, off, len, advice))
FAULTY(int, name_to_handle_at,
       (int dirfd, const char *path, struct file_handle *handle, int *ret_mount_id, int flags),
       (dirfd, path, handle, ret_mount_id, flags))
FAULTY(int, linkat,
       (int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags),
       (olddirfd, oldpath, newdirfd, newpath, flags))
FAULTY(int, mkdirat, (int dirfd, const char *path, mode_t mode), (dirfd, path, mode))
FAULTY(int, mknodat, (int dirfd, const char *path, mode_t mode, dev_t dev),
       (dirfd, path, mode, dev))
FAULTY(int, symlinkat, (const char *target, int dirfd, const char *path), (target, dirfd, path))
FAULTY(int, unlinkat, (int dirfd, const char *path, int flags), (dirfd, path, flags))
FAULTY(int, renameat2,
       (int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned flags),
       (olddirfd, oldpath, newdirfd, newpath, flags))
FAULTY(ssize_t, readlinkat, (int dirfd, const char *path, char *buf, size_t len),
       (dirfd, path, buf, len))
FAULTY(ssize_t, getdents64, (int fd, void *buf, size_t len), (fd, buf, len))
FAULTY(int, fstatat, (int dirfd, const char *path, struct stat *ret_st, int flags),
       (dirfd, path, ret_st, flags))
FAULTY(int, fstatfs, (int fd, struct statfs *ret_st), (fd, ret_st))
FAULTY(int, fchmodat, (int dirfd, const char *path, mode_t mode, int flags),
       (dirfd, path, mode, flags))
FAULTY(int, fchownat, (int dirfd, const char *path, uid_t uid, gid_t gid, int flags),
       (dirfd, path, uid, gid, flags))
FAULTY(int, utimensat, (int dirfd, const char *path, const struct timespec times[2], int flags),
       (dirfd, path, times, flags))

/* Answers no error: what cannot be told is told as "none". */
static off_t faulty_allocated_end(int fd, off_t off)
{
	return sysio_kernel.allocated_end(fd, off);
}

const struct sysio faults_sysio = {
	.name = "kernel with faults",
	.openat = faulty_openat,
	.open_by_handle_at = faulty_open_by_handle_at,
	.close = faulty_close,
	.pread = faulty_pread,
	.pwrite = faulty_pwrite,
	.ftruncate = faulty_ftruncate,
	.fallocate = faulty_fallocate,
	.lseek = faulty_lseek,
	.fsync = faulty_fsync,
	.fdatasync = faulty_fdatasync,
	.sync_file_range = faulty_sync_file_range,
	.syncfs = faulty_syncfs,
	.fadvise = faulty_fadvise,
	.allocated_end = faulty_allocated_end,
	.name_to_handle_at = faulty_name_to_handle_at,
	.linkat = faulty_linkat,
	.mkdirat = faulty_mkdirat,
	.mknodat = faulty_mknodat,
	.symlinkat = faulty_symlinkat,
	.unlinkat = faulty_unlinkat,
	.renameat2 = faulty_renameat2,
	.readlinkat = faulty_readlinkat,
	.getdents64 = faulty_getdents64,
	.fstatat = faulty_fstatat,
	.fstatfs = faulty_fstatfs,
	.fchmodat = faulty_fchmodat,
	.fchownat = faulty_fchownat,
	.utimensat = faulty_utimensat,
};
