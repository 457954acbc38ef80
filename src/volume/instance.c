/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mount an instance: RUNTIME_DIR/UUID.mounted is locked while a volume with this UUID is
 * mounted on this host, whatever its name. It holds that name, and stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tdefs/bytes.h"
#include "volume_internal.h"

static int refuse(const struct volume *v, int fd, struct errmsg *reterr)
{
	char by[NAME_MAX + 1] = "";
	ssize_t n = pread(fd, by, sizeof(by) - 1, 0);

	by[n > 0 ? n : 0] = '\0';
	errmsg_next(reterr,
		    "unmount that one; or, if this is a copy of it that is to be a volume "
		    "of its own: tdefs mount %s --new-uuid",
		    v->vc->name);
	return errmsg_fail(reterr, -EBUSY, EXIT_CODE_FAILED,
			   "volume %s: the same instance (UUID) is mounted as %s", v->vc->name, by);
}

static int fail(const struct volume *v, int r, struct errmsg *reterr)
{
	errmsg_next(reterr, "make %s writable", v->config->runtime_dir);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "volume %s: cannot note its instance in %s: %s", v->vc->name,
			   v->config->runtime_dir, errno_text(r));
}

int instance_lock(const struct volume *v, int *ret_fd, struct errmsg *reterr)
{
	const char *dir = v->config->runtime_dir, *name = v->vc->name;
	CLEANUP_CLOSE int dirfd = -1;
	CLEANUP_CLOSE int fd = -1;
	char file[UUID_TEXT_LEN + 16], uuid[UUID_TEXT_LEN];

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return fail(v, -errno, reterr);
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(file, sizeof(file), "%s.mounted", uuid_format(v->found.header.uuid, uuid));
	if (dirfd >= 0)
		fd = openat(dirfd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(v, -errno, reterr);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? refuse(v, fd, reterr) : fail(v, -errno, reterr);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, name, strlen(name), 0) < 0)
		return fail(v, -errno, reterr);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
