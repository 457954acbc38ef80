/* SPDX-License-Identifier: Apache-2.0 */
/* The two directories of an import or export: opened, and refused where they overlap. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ask.h"
#include "transfer.h"

static int failed(struct call *call, int r, const char *path, const char *what)
{
	return errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: %s", path,
			   what ? what : errno_text(r));
}

static int check_state(struct call *call, const char *name, bool to_volume,
		       struct transfer_sides *s)
{
	CLEANUP_JSON json_t *status = NULL;
	char *args[] = { (char *)(uintptr_t)name };
	char **was = call->args;
	const char *state;
	int r;

	call->args = args;
	r = call_look(call, &status);
	call->args = was;
	if (r < 0)
		return r;
	state = text_at(status, "state");
	(void)snprintf(s->uuid, sizeof(s->uuid), "%s", text_at(status, "uuid"));
	(void)snprintf(s->kid, sizeof(s->kid), "%s",
		       text_at(json_object_get(status, "protector"), "kid"));
	if (strcmp(state, "online") == 0 || (!to_volume && strcmp(state, "read-only") == 0))
		return 0;
	errmsg_next(&call->err, "see tdefsctl status %s; do this when it is online", name);
	return errmsg_fail(&call->err, -ENOKEY, (enum exit_code)state_exit_code(state),
			   "volume %s: it is %s", name, state);
}

static int open_directory(struct call *call, const char *path, int *ret_fd)
{
	/* We are root: what is read is not changed, its access time included. */
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	errmsg_next(&call->err, "name a directory that is there");
	return failed(call, -errno, path, NULL);
}

/* A mount point whose daemon is about to end is a bare directory. */
static int open_mount(struct call *call, struct transfer_sides *s)
{
	struct statfs fs;
	int r = open_directory(call, s->volume->mount, &s->mount_fd);

	if (r < 0)
		return r;
	if (fstatfs(s->mount_fd, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC)
		return 0;
	errmsg_next(&call->err, "tdefs mount %s", s->volume->name);
	return errmsg_fail(&call->err, -ENOENT, EXIT_CODE_NOT_MOUNTED, "volume %s: not mounted",
			   s->volume->name);
}

/* Is `inner` the same directory as `outer`, or beneath it? Or an errno. */
static int is_beneath(int inner, int outer)
{
	struct stat here, above, goal;
	CLEANUP_CLOSE int fd = openat(inner, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(outer, &goal) < 0 || fstat(fd, &here) < 0)
		return -errno;
	for (;;) {
		int up;

		if (here.st_dev == goal.st_dev && here.st_ino == goal.st_ino)
			return 1;
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0 || fstat(up, &above) < 0)
			return -errno;
		close(fd);
		fd = up;
		if (above.st_dev == here.st_dev && above.st_ino == here.st_ino)
			return 0;
		here = above;
	}
}

static int check_apart(struct call *call, const struct transfer_sides *s)
{
	const int ours[] = { s->mount_fd, s->backing_fd };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ours); i++) {
		r = is_beneath(s->plain_fd, ours[i]);
		if (r == 0)
			r = is_beneath(ours[i], s->plain_fd);
	}
	if (r == 0)
		return 0;
	errmsg_next(&call->err, "name a directory beside the volume's mount and backing");
	return failed(call, r < 0 ? r : -ELOOP, s->plain_path,
		      r < 0 ? NULL : "it and the volume's mount or backing lie one in the other");
}

/* Ciphertext is not what anybody means, and plaintext does not belong beside it. */
static int check_no_volume(struct call *call, const struct transfer_sides *s)
{
	const struct backing b = { .root_fd = s->plain_fd, .header_fd = -1 };
	struct stat st;

	if (fstatat(s->plain_fd, STORE_HEADER_DIR, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? backing_check_nesting(&b, s->plain_path, s->volume->name,
							       &call->err)
				       : failed(call, -errno, s->plain_path, NULL);
	errmsg_next(&call->err, "mount that volume and name its mount");
	return failed(call, -EINVAL, s->plain_path, "it is the encrypted backing of a volume");
}

static int name_plain(struct call *call, const char *plain, struct transfer_sides *s)
{
	char link[32];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", s->plain_fd);
	n = readlink(link, s->plain_path, sizeof(s->plain_path) - 1);
	if (n < 0)
		return failed(call, -errno, plain, NULL);
	s->plain_path[n] = '\0';
	return 0;
}

static int open_sides(struct call *call, const char *name, const char *plain, bool to_volume,
		      struct transfer_sides *s)
{
	int r = config_volume(call->config, name, &s->volume, &call->err);

	if (r == 0)
		r = check_state(call, name, to_volume, s);
	if (r == 0)
		r = open_mount(call, s);
	if (r == 0)
		r = open_directory(call, s->volume->backing, &s->backing_fd);
	if (r == 0)
		r = open_directory(call, plain, &s->plain_fd);
	if (r == 0)
		r = name_plain(call, plain, s);
	if (r == 0)
		r = check_apart(call, s);
	return r == 0 ? check_no_volume(call, s) : r;
}

int transfer_sides_open(struct call *call, const char *name, const char *plain, bool to_volume,
			struct transfer_sides *ret_sides)
{
	struct transfer_sides s = TRANSFER_SIDES_NONE;
	int r;

	if (geteuid() != 0) {
		errmsg_next(&call->err, "be root");
		return failed(call, -EPERM, plain, "owners can be kept by root only");
	}
	r = open_sides(call, name, plain, to_volume, &s);
	if (r < 0)
		transfer_sides_close(&s);
	else
		*ret_sides = s;
	return r;
}

void transfer_sides_close(struct transfer_sides *s)
{
	const int fds[] = { s->plain_fd, s->mount_fd, s->backing_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
