/* SPDX-License-Identifier: Apache-2.0 */
/* Unmounting from outside the daemon, and waiting for its end. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>

#include "daemon.h"
#include "tdefs/store.h"

static void cleanup_mntent(FILE **f)
{
	if (*f)
		endmntent(*f);
}

/* Is a volume of that name mounted there? Looks at the table only: a dead mount answers no stat(2). */
static bool is_mounted(const struct volume_config *vc, const char *where)
{
	CLEANUP(cleanup_mntent) FILE *table = setmntent("/proc/self/mounts", "re");
	const struct mntent *m;

	while (table && (m = getmntent(table)))
		if (strcmp(m->mnt_type, "fuse.tdefs") == 0 && strcmp(m->mnt_dir, where) == 0 &&
		    strcmp(m->mnt_fsname, vc->name) == 0)
			return true;
	return false;
}

/* The mount table has resolved paths; of a dead mount only the parent can be resolved. */
static char *resolve(const char *path)
{
	CLEANUP_FREE char *copy = strdup(path);
	CLEANUP_FREE char *parent = NULL;
	char *whole = realpath(path, NULL), *slash;

	if (whole || !copy)
		return whole;
	slash = strrchr(copy, '/');
	*slash = '\0';
	parent = realpath(*copy ? copy : "/", NULL);
	if (!parent ||
	    asprintf(&whole, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash + 1) < 0)
		return NULL;
	return whole;
}

/* The daemon holds .tdefs/lock until everything is durable. */
static void wait_for_daemon(const struct volume_config *vc)
{
	CLEANUP_CLOSE int root = open(vc->backing, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int fd =
		openat(root, STORE_HEADER_DIR "/lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	while (fd >= 0 && flock(fd, LOCK_SH) < 0 && errno == EINTR)
		;
}

int daemon_unmount(const struct volume_config *vc, struct errmsg *reterr)
{
	CLEANUP_FREE char *where = resolve(vc->mount);

	if (!where || !is_mounted(vc, where)) {
		errmsg_next(reterr, "nothing to do; see tdefsctl status");
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_NOT_MOUNTED,
				   "volume %s: not mounted at %s", vc->name, vc->mount);
	}
	if (umount2(where, UMOUNT_NOFOLLOW) < 0) {
		int r = -errno;

		errmsg_next(reterr,
			    r == -EBUSY ? "stop what uses it (fuser -vm %s), then try again"
					: "see the kernel's log about %s",
			    where);
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot unmount %s: %s",
				   vc->name, where, errno_text(r));
	}
	wait_for_daemon(vc);
	return 0;
}
