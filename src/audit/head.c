/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATE_DIR/NAME.head: which line of a log is the last, three lines of text.
 * A log that was cut or deleted does not lead there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit_internal.h"
#include "tdefs/atomic_file.h"

#define HEAD_MAX 192

/* The length. */
static int print(const struct audit_head *head, char text[static HEAD_MAX])
{
	char hex[HEX_LEN(SHA256_LEN)];

	return snprintf(text, HEAD_MAX, "seq %" PRIu64 "\nhash %s\nfirst %" PRIu64 "\n",
			head->last.seq, hex_encode(head->last.hash, SHA256_LEN, hex), head->first);
}

/* Exactly what print() writes, or -EBADMSG. */
static int parse(const char *text, struct audit_head *ret_head)
{
	char seq[21], hex[HEX_LEN(SHA256_LEN)], first[21], again[HEAD_MAX];
	struct audit_head head;

	if (sscanf(text, "seq %20s hash %64s first %20s", seq, hex, first) != 3 ||
	    !hex_decode(hex, head.last.hash, SHA256_LEN))
		return -EBADMSG;
	head.last.seq = strtoull(seq, NULL, 10);
	head.first = strtoull(first, NULL, 10);
	if (print(&head, again) < 0 || strcmp(text, again) != 0)
		return -EBADMSG;
	*ret_head = head;
	return 0;
}

static void name_of(const char *volume, char name[static AUDIT_NAME_MAX])
{
	(void)snprintf(name, AUDIT_NAME_MAX, "%s.head", volume);
}

int audit_head_read(const struct sysio *sys, int state_dirfd, const char *volume,
		    struct audit_head *ret_head)
{
	char name[AUDIT_NAME_MAX], text[HEAD_MAX];
	ssize_t n;

	name_of(volume, name);
	n = atomic_file_read(sys, state_dirfd, name, text, HEAD_MAX - 1);
	if (n < 0)
		return n == -EFBIG ? -EBADMSG : (int)n;
	text[n] = '\0';
	return parse(text, ret_head);
}

int audit_head_write(const struct sysio *sys, int state_dirfd, const char *volume,
		     const struct audit_head *head)
{
	char name[AUDIT_NAME_MAX], text[HEAD_MAX];
	int n = print(head, text);

	name_of(volume, name);
	return atomic_file_write(sys, state_dirfd, name, 0600, text, (size_t)n);
}
