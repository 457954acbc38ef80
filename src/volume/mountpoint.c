/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a directory can be mounted on without hiding or looping anything. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tdefs/volume.h"

static int refuse(const struct volume_config *vc, int r, const char *reason, const char *next,
		  struct errmsg *reterr)
{
	errmsg_next(reterr, "%s", next);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: mount point %s: %s", vc->name,
			   vc->mount, reason);
}

static int check_nesting(const struct volume_config *vc, struct errmsg *reterr)
{
	CLEANUP_FREE char *mount = realpath(vc->mount, NULL);
	CLEANUP_FREE char *backing = realpath(vc->backing, NULL);

	if (!mount)
		return refuse(vc, -errno, errno_text(errno), "check \"mount\"", reterr);
	if (!backing)
		return 0; /* opening it will say what is wrong with it */
	if (path_is_beneath(mount, backing) || path_is_beneath(backing, mount))
		return refuse(vc, -ELOOP, "it lies in the backing directory, or around it",
			      "keep the two apart", reterr);
	return 0;
}

static int check_empty(const struct volume_config *vc, struct errmsg *reterr)
{
	CLEANUP_CLOSEDIR DIR *dir = opendir(vc->mount);
	const struct dirent *e;

	if (!dir)
		return refuse(vc, -errno, errno_text(errno), "make it readable", reterr);
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return refuse(vc, -ENOTEMPTY, "it is not empty",
				      "move away what is in it: it is not encrypted, and the mount "
				      "would hide it",
				      reterr);
	return 0;
}

int mountpoint_check(const struct volume_config *vc, struct errmsg *reterr)
{
	struct statx stx;
	int r;

	if (statx(AT_FDCWD, vc->mount, 0, STATX_BASIC_STATS, &stx) < 0) {
		if (errno == ENOTCONN)
			return refuse(vc, -EBUSY, "a mount whose daemon is gone is still there",
				      "run tdefs unmount for this volume, then mount it again",
				      reterr);
		return refuse(vc, -errno, errno_text(errno), "make the directory: mkdir -p",
			      reterr);
	}
	if (!S_ISDIR(stx.stx_mode))
		return refuse(vc, -ENOTDIR, "not a directory", "name a directory", reterr);
	if (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return refuse(
			vc, -EBUSY, "something is mounted there",
			"see tdefsctl status, if it is this volume; else unmount that, or name "
			"another directory",
			reterr);
	r = check_nesting(vc, reterr);
	return r < 0 ? r : check_empty(vc, reterr);
}
