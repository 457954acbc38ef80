/* SPDX-License-Identifier: Apache-2.0 */
/* The backing directory: opening it, what is refused as one, its lock. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tdefs/volume.h"

#define XFS_MAGIC 0x58465342 /* linux/magic.h does not have it */

#ifndef FS_CASEFOLD_FL
#define FS_CASEFOLD_FL 0x40000000
#endif

static int refuse_case_folding(const char *path, const char *volume, struct errmsg *reterr)
{
	errmsg_next(reterr, "use a directory that tells upper from lower case");
	return errmsg_fail(reterr, -EOPNOTSUPP, EXIT_CODE_CONFIG,
			   "volume %s: backing %s folds upper and lower case", volume, path);
}

static int check_filesystem(int fd, const char *path, const char *volume, bool any,
			    struct errmsg *reterr)
{
	struct statfs st;
	int flags = 0;

	if (fstatfs(fd, &st) < 0)
		return errmsg_fail(reterr, -errno, EXIT_CODE_FAILED, "volume %s: statfs %s: %s",
				   volume, path, errno_text(errno));
	if (!any && st.f_type != EXT4_SUPER_MAGIC && st.f_type != XFS_MAGIC) {
		errmsg_next(reterr, "use ext4 or XFS, or set unsupported_backing = yes: what a "
				    "power cut leaves there is then not tested");
		return errmsg_fail(reterr, -EOPNOTSUPP, EXIT_CODE_CONFIG,
				   "volume %s: backing %s is on an unsupported file system (0x%lx)",
				   volume, path, (unsigned long)st.f_type);
	}
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_CASEFOLD_FL)
		return refuse_case_folding(path, volume, reterr);
	return 0;
}

static bool is_mount_root(int fd)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0 &&
	       stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* Some fold case everywhere without saying so, such as XFS made with ascii-ci. */
static bool folds_case(int root_fd)
{
	struct stat lower, upper;

	return fstatat(root_fd, STORE_HEADER_DIR, &lower, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(root_fd, ".TDEFS", &upper, AT_SYMLINK_NOFOLLOW) == 0 &&
	       lower.st_ino == upper.st_ino;
}

int backing_check_case(const struct backing *b, const char *path, const char *volume,
		       struct errmsg *reterr)
{
	return folds_case(b->root_fd) ? refuse_case_folding(path, volume, reterr) : 0;
}

int backing_open(const char *path, const char *volume, bool any_filesystem,
		 struct backing *ret_backing, struct errmsg *reterr)
{
	CLEANUP_BACKING struct backing b = BACKING_NONE;
	int r;

	b.root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b.root_fd < 0) {
		errmsg_next(reterr, errno == EACCES ? "be root: backings are root's"
						    : "make the directory, mount its file "
						      "system, or correct \"backing\"");
		return errmsg_fail(reterr, -errno, EXIT_CODE_CONFIG,
				   "volume %s: backing %s: cannot open: %s", volume, path,
				   errno_text(errno));
	}
	r = check_filesystem(b.root_fd, path, volume, any_filesystem, reterr);
	if (r < 0)
		return r;
	b.is_mount_root = is_mount_root(b.root_fd);
	b.header_fd = openat(b.root_fd, STORE_HEADER_DIR,
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (b.header_fd < 0 && errno != ENOENT) {
		errmsg_next(reterr, "look at %s/" STORE_HEADER_DIR ": it must be a directory",
			    path);
		return errmsg_fail(reterr, -errno, EXIT_CODE_FAILED,
				   "volume %s: cannot open %s/" STORE_HEADER_DIR ": %s", volume,
				   path, errno_text(errno));
	}
	r = backing_check_case(&b, path, volume, reterr);
	if (r < 0)
		return r;
	*ret_backing = b;
	b = BACKING_NONE;
	return 0;
}

static bool same_directory(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is the directory a volume's backing? 1, 0 or -errno. */
static int is_formatted(int fd)
{
	CLEANUP_CLOSE int header_fd =
		openat(fd, STORE_HEADER_DIR, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (header_fd >= 0)
		return header_exists(&sysio_kernel, header_fd);
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
}

static int refuse_nesting(int outer_fd, const char *path, const char *volume, struct errmsg *reterr)
{
	char link[32], outer[512];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", outer_fd);
	n = readlink(link, outer, sizeof(outer) - 1);
	outer[n > 0 ? n : 0] = '\0';
	errmsg_next(reterr, "use a directory beside that one, not in it");
	return errmsg_fail(reterr, -ELOOP, EXIT_CODE_CONFIG,
			   "volume %s: backing %s lies in the backing %s of another volume", volume,
			   path, outer);
}

int backing_check_nesting(const struct backing *b, const char *path, const char *volume,
			  struct errmsg *reterr)
{
	CLEANUP_CLOSE int fd = openat(b->root_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat here, above;
	int r = fstat(b->root_fd, &here) < 0 ? -errno : 0;

	while (r == 0 && fd >= 0 && fstat(fd, &above) == 0 && !same_directory(&here, &above)) {
		int up = -1;

		r = is_formatted(fd);
		if (r > 0)
			return refuse_nesting(fd, path, volume, reterr);
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = up;
		here = above;
	}
	if (r == 0 && fd < 0)
		r = -errno;
	if (r == 0)
		return 0;
	errmsg_next(reterr, "look at the directories above it");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "volume %s: backing %s: cannot look at what it lies in: %s", volume,
			   path, errno_text(r));
}

void backing_close(struct backing *b)
{
	if (b->root_fd >= 0)
		close(b->root_fd);
	if (b->header_fd >= 0)
		close(b->header_fd);
	*b = BACKING_NONE;
}

int backing_lock(const struct backing *b, const char *volume, int *ret_lock_fd,
		 struct errmsg *reterr)
{
	int fd = openat(b->header_fd, "lock", O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0) {
		errmsg_next(reterr, "look at the backing directory and its file system");
		return errmsg_fail(reterr, -errno, EXIT_CODE_FAILED,
				   "volume %s: cannot open .tdefs/lock: %s", volume,
				   errno_text(errno));
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;

		close(fd);
		errmsg_next(reterr, "see tdefsctl status; unmount it first (tdefs unmount)");
		return errmsg_fail(reterr, r == -EWOULDBLOCK ? -EBUSY : r, EXIT_CODE_FAILED,
				   "volume %s: it is mounted, or being formatted or rewritten",
				   volume);
	}
	*ret_lock_fd = fd;
	return 0;
}
