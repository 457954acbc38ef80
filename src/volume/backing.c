/* SPDX-License-Identifier: Apache-2.0 */
/* The backing directory: opening it, what is refused as one, its lock. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
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
		errmsg_next(reterr,
			    "make the directory, mount its file system, or correct \"backing\"");
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
