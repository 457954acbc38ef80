/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault audit: the last lines of the audit log. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tdefs/sysio.h"

#include "audit.h"
#include "cli.h"

#define LINES_DEFAULT 20
#define READ_MAX      (4U << 20) /* of the file's end */

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "-";
}

static void print_line(const struct call *call, const char *line, size_t len)
{
	CLEANUP_JSON json_t *o = json_loadb(line, len, 0, NULL);
	const char *kid = text_of(o, "kid");

	if (call->json && o) {
		IGNORE_RESULT(print_json(json_incref(o), EXIT_CODE_DONE), "it says so itself");
		return;
	}
	if (!o) {
		printf("%.*s\n", (int)len, line);
		return;
	}
	printf("%s  %-12s %-16s %-24s %s\n", text_of(o, "time"), text_of(o, "identity"),
	       text_of(o, "operation"), text_of(o, "result"),
	       strcmp(kid, "-") != 0 ? kid : text_of(o, "object"));
}

/* Where the last `lines` lines begin. */
static const char *start_of_last(const char *text, size_t len, int64_t lines)
{
	const char *at = text + len;

	while (at > text) {
		if (at[-1] == '\n' && at != text + len && --lines == 0)
			break;
		at--;
	}
	return at;
}

static int print_last(const struct call *call, int fd, int64_t lines)
{
	CLEANUP_FREE char *text = malloc(READ_MAX);
	struct stat st;
	const char *at;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	n = sysio_pread_full(&sysio_kernel, fd, text, READ_MAX,
			     st.st_size > READ_MAX ? (uint64_t)(st.st_size - READ_MAX) : 0);
	if (n < 0)
		return (int)n;
	for (at = start_of_last(text, (size_t)n, lines); at < text + n;) {
		const char *end = memchr(at, '\n', (size_t)(text + n - at));

		if (!end)
			break; /* being written */
		print_line(call, at, (size_t)(end - at));
		at = end + 1;
	}
	return 0;
}

int verb_audit(struct call *call)
{
	CLEANUP_CLOSE int dirfd = -1, fd = -1;
	int64_t lines = LINES_DEFAULT;
	char *end;
	int r;

	if (call->nargs) {
		lines = strtoll(call->args[0], &end, 10);
		if (*end || lines < 1)
			return usage_error(call, "audit: a number of lines is expected");
	}
	r = vault_dir_open(call->data, false, &dirfd, &call->err);
	if (r < 0)
		return call_failed(call);
	fd = openat(dirfd, AUDIT_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return EXIT_CODE_DONE; /* nothing happened yet */
	r = fd < 0 ? -errno : print_last(call, fd, lines);
	return r < 0 ? call_errno(call, r, AUDIT_FILE) : EXIT_CODE_DONE;
}
