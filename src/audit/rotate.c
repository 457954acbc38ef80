/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation: NAME.jsonl becomes NAME.jsonl.1, that .2, and the one too many goes. */
#include <errno.h>
#include <string.h>

#include "audit_internal.h"

void audit_log_name(const char *volume, unsigned n, char name[static AUDIT_NAME_MAX])
{
	if (n == 0)
		(void)snprintf(name, AUDIT_NAME_MAX, "%s.jsonl", volume);
	else
		(void)snprintf(name, AUDIT_NAME_MAX, "%s.jsonl.%u", volume, n);
}

static int rename_up(const struct audit_log *log, int dirfd, unsigned n)
{
	char from[AUDIT_NAME_MAX], to[AUDIT_NAME_MAX];

	audit_log_name(log->volume, n, from);
	audit_log_name(log->volume, n + 1, to);
	return log->sys->renameat2(dirfd, from, dirfd, to, 0);
}

/* The lowest number that no file has, or `keep`: then that one goes. An errno. */
static int find_hole(const struct audit_log *log, int dirfd, bool *ret_full)
{
	char name[AUDIT_NAME_MAX];
	struct stat st;

	*ret_full = false;
	for (unsigned n = 1; n <= log->keep; n++) {
		int r;

		audit_log_name(log->volume, n, name);
		r = log->sys->fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW);
		if (r == -ENOENT)
			return (int)n;
		if (r < 0)
			return r;
	}
	*ret_full = true;
	return (int)log->keep;
}

/* Seq of a file's first line; 0: that is none. */
static int read_first(const struct audit_log *log, int dirfd, unsigned n, char *buf,
		      uint64_t *ret_seq)
{
	char name[AUDIT_NAME_MAX];
	struct audit_link link;
	const char *end;
	ssize_t len;
	int fd;

	audit_log_name(log->volume, n, name);
	fd = log->sys->openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	len = sysio_pread_full(log->sys, fd, buf, AUDIT_LINE_MAX, 0);
	IGNORE_RESULT(log->sys->close(fd), "only read");
	if (len < 0)
		return (int)len;
	end = memchr(buf, '\n', (size_t)len);
	*ret_seq = end && audit_line_link(buf, (size_t)(end - buf), &link) == 0 ? link.seq : 0;
	return 0;
}

/* With what the log starts once the oldest file is gone; 0: it cannot be told. */
static int find_first(const struct audit_log *log, int dirfd, uint64_t *ret_seq)
{
	CLEANUP_FREE char *buf = malloc(AUDIT_LINE_MAX);
	uint64_t seq = 0;
	int r = buf ? 0 : -ENOMEM;

	for (unsigned n = log->keep; r == 0 && seq == 0 && n-- > 0;)
		r = read_first(log, dirfd, n, buf, &seq);
	*ret_seq = seq;
	return r;
}

/* Those beyond what is kept: one, or more when event_log_keep was lowered. */
static int remove_excess(const struct audit_log *log, int dirfd)
{
	for (unsigned n = log->keep;; n++) {
		char name[AUDIT_NAME_MAX];
		int r;

		audit_log_name(log->volume, n, name);
		r = log->sys->unlinkat(dirfd, name, 0);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return r;
	}
}

int audit_log_rotate(const struct audit_log *log, int event_dirfd, int state_dirfd,
		     struct audit_head *head)
{
	bool full;
	int hole = find_hole(log, event_dirfd, &full), r = 0;

	if (hole < 0)
		return hole;
	if (full) {
		uint64_t first;

		/* Told before it is true: a log that starts earlier than said is whole. */
		r = find_first(log, event_dirfd, &first);
		if (r == 0 && first > head->first) {
			head->first = first;
			r = audit_head_write(log->sys, state_dirfd, log->volume, head);
		}
		if (r == 0)
			r = remove_excess(log, event_dirfd);
	}
	for (unsigned n = (unsigned)hole; r == 0 && n-- > 0;)
		r = rename_up(log, event_dirfd, n);
	return r < 0 ? r : log->sys->fsync(event_dirfd);
}
