/* SPDX-License-Identifier: Apache-2.0 */
/* From a name on the command line to an open backing directory and its header. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tdefsctl.h"

int target_open(struct call *call, const char *name, struct target *ret_target)
{
	struct target t = { .label = name, .backing_path = name, .backing = BACKING_NONE };
	bool any_filesystem = true; /* a backup may lie anywhere */
	int r = 0;

	if (!strchr(name, '/')) {
		r = config_volume(call->config, name, &t.volume, &call->err);
		if (r < 0)
			return r;
		t.backing_path = t.volume->backing;
	}
	r = backing_open(t.backing_path, name, any_filesystem, &t.backing, &call->err);
	if (r < 0)
		return r;
	if (t.backing.header_fd < 0) {
		errmsg_next(&call->err, "mount the file system it is on; a new volume: tdefsctl "
					"format");
		r = errmsg_fail(&call->err, -ENOENT, EXIT_CODE_FAILED,
				"%s: not a volume: %s has no " STORE_HEADER_DIR, name,
				t.backing_path);
	} else
		r = header_read(&sysio_kernel, t.backing.header_fd, name, &t.header, &call->err);
	if (r < 0) {
		target_close(&t);
		return r;
	}
	*ret_target = t;
	return 0;
}

const struct volume_config *target_volume(const struct call *call, const struct target *t)
{
	CLEANUP_FREE char *path = realpath(t->backing_path, NULL);

	for (size_t i = 0; path && !t->volume && i < call->config->nvolumes; i++) {
		const struct volume_config *vc = &call->config->volumes[i];
		CLEANUP_FREE char *backing = realpath(vc->backing, NULL);

		if (backing && strcmp(backing, path) == 0)
			return vc;
	}
	return t->volume;
}

void target_close(struct target *t)
{
	backing_close(&t->backing);
}

int open_regular(int dirfd, const char *path, int flags)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve =
					RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	CLEANUP_CLOSE int pin = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	char itself[32];
	struct stat st;
	int fd;

	if (pin < 0 || fstat(pin, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	(void)snprintf(itself, sizeof(itself), "/proc/self/fd/%d", pin);
	fd = open(itself, flags | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
