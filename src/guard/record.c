/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .tdefs/state: what a restart must not undo, six lines of text and their
 * SHA-256. Replaced whole, so that a crash leaves the old one or the new one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/atomic_file.h"
#include "tdefs/bytes.h"
#include "tdefs/crypto.h"
#include "tdefs/guard.h"

#define RECORD_NAME "state"
#define RECORD_MAX  512

static const char *yes(bool b)
{
	return b ? "yes" : "no";
}

/* The length, or an errno. */
static int print(const struct guard_record *r, char text[static RECORD_MAX])
{
	char hex[HEX_LEN(32)];
	uint8_t sum[32];
	const char *denied = r->pending ? "pending" : yes(r->denied);
	int n, error;

	n = snprintf(text, RECORD_MAX,
		     "tdefs-state 1\nlocked %s\ndenied %s\ndenied-by %s\ndenied-at %" PRIu64
		     "\ngranted-at %" PRIu64 "\n",
		     yes(r->locked), denied, r->denied_secondary ? "secondary" : "primary",
		     r->denied_at, r->granted_at);
	error = sha256(text, (size_t)n, sum);
	if (error < 0)
		return error;
	return n + snprintf(text + n, RECORD_MAX - (size_t)n, "sha256 %s\n",
			    hex_encode(sum, sizeof(sum), hex));
}

/* Exactly what print() writes, or -EBADMSG. */
static int parse(const char *text, struct guard_record *ret_record)
{
	char locked[4], denied[8], by[10], denied_at[21], granted_at[21], again[RECORD_MAX];
	struct guard_record r;
	int n;

	if (sscanf(text,
		   "tdefs-state 1 locked %3s denied %7s denied-by %9s denied-at %20s granted-at "
		   "%20s",
		   locked, denied, by, denied_at, granted_at) != 5)
		return -EBADMSG;
	r = (struct guard_record){ .locked = strcmp(locked, "yes") == 0,
				   .denied = strcmp(denied, "yes") == 0,
				   .pending = strcmp(denied, "pending") == 0,
				   .denied_secondary = strcmp(by, "secondary") == 0,
				   .denied_at = strtoull(denied_at, NULL, 10),
				   .granted_at = strtoull(granted_at, NULL, 10) };
	n = print(&r, again);
	if (n < 0)
		return n;
	if (strcmp(text, again) != 0)
		return -EBADMSG;
	*ret_record = r;
	return 0;
}

int guard_record_read(const struct sysio *sys, int header_dirfd, struct guard_record *ret_record)
{
	char text[RECORD_MAX + 1];
	ssize_t n = atomic_file_read(sys, header_dirfd, RECORD_NAME, text, RECORD_MAX);

	if (n < 0)
		return n == -EFBIG ? -EBADMSG : (int)n;
	text[n] = '\0';
	return parse(text, ret_record);
}

int guard_record_write(const struct sysio *sys, int header_dirfd, const struct guard_record *record)
{
	char text[RECORD_MAX];
	int n = print(record, text);

	return n < 0 ? n : atomic_file_write(sys, header_dirfd, RECORD_NAME, 0600, text, (size_t)n);
}
