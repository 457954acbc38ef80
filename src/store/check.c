/* SPDX-License-Identifier: Apache-2.0 */
/* Checking one file of a mounted volume, by path, with its writers held off. */
#include <errno.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"

static int open_beneath(struct store *s, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
				.resolve =
					RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	long fd = syscall(SYS_openat2, s->options.root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int check_node(struct store *s, struct node *n, int fd, enum file_verdict *ret_verdict)
{
	LOCK_SCOPE(&n->lock); /* nobody opens or closes it meanwhile */

	if (n->file)
		return file_recheck(n->file, ret_verdict);
	return file_check(&s->options.files, fd, ret_verdict);
}

int store_check_path(struct store *s, const char *path, enum file_verdict *ret_verdict)
{
	CLEANUP_CLOSE int fd = open_beneath(s, path);
	struct node *n = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = store_sys(s)->fstatat(fd, "", &st, AT_EMPTY_PATH);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = node_find(s, fd, "", AT_EMPTY_PATH, &n);
	if (r < 0)
		return r;
	if (!n)
		return file_check(&s->options.files, fd, ret_verdict);
	r = check_node(s, n, fd, ret_verdict);
	node_unhold(s, n);
	return r;
}
