/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink to systemd's journal by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL):
 * one datagram an event, fields as NAME, newline, 64-bit length, bytes. A journal
 * that does not take one loses it: waiting would be worse, and the log has it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "audit_internal.h"
#include "tdefs/audit_read.h"

#define DATAGRAM_MAX (4 * AUDIT_LINE_MAX + 4096) /* a line, and its text, which is escaped */

struct audit_journal {
	int fd;
	struct sockaddr_un to;
	char volume[AUDIT_NAME_MAX];
	uint64_t lost; /* since one got through; the recorder's thread */
};

/* syslog(3)'s priorities. */
static const char *priority_of(enum audit_weight weight, const char *event)
{
	static const char *const warnings[] = { "alarm", "broken", "cut",    "denied",
						"lost",	 "torn",   "failed", "dropped" };
	const char *last = strrchr(event, '_');

	last = last ? last + 1 : event;
	for (size_t i = 0; i < ARRAY_SIZE(warnings); i++)
		if (strcmp(last, warnings[i]) == 0)
			return "4";
	return weight == AUDIT_MAJOR ? "5" : "6";
}

static void add_field(struct wr *w, const char *name, const char *value, size_t len)
{
	wr_copy(w, name, strlen(name));
	wr_copy(w, "\n", 1);
	wr_le64(w, len);
	wr_copy(w, value, len);
	wr_copy(w, "\n", 1);
}

static void add_text(struct wr *w, const char *name, const char *value)
{
	add_field(w, name, value, strlen(value));
}

/* The place in the chain; none while the log cannot be written. */
static void add_link(struct wr *w, const char *line, size_t len)
{
	struct audit_link link;
	char text[HEX_LEN(SHA256_LEN)];

	if (audit_line_link(line, len, &link) < 0)
		return;
	add_text(w, "TDEFS_HASH", hex_encode(link.hash, SHA256_LEN, text));
	(void)snprintf(text, sizeof(text), "%" PRIu64, link.seq);
	add_text(w, "TDEFS_SEQ", text);
}

static void add_message(struct wr *w, const char *volume, const char *event, const char *line,
			size_t len)
{
	CLEANUP_FREE char *text = audit_text(line, len), *message = NULL;
	const char *rest = text ? strchr(text, ' ') : NULL; /* the journal has its own time */

	if (asprintf(&message, "%s: %s", volume, rest ? rest + 1 : event) < 0) {
		message = NULL; /* undefined then */
		add_text(w, "MESSAGE", event);
		return;
	}
	add_text(w, "MESSAGE", message);
}

static bool send_datagram(const struct audit_journal *j, const struct wr *w)
{
	return sendto(j->fd, w->data, w->pos, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)&j->to, sizeof(j->to)) >= 0;
}

void audit_journal_send(void *journal, enum audit_weight weight, const char *event,
			const char *line, size_t len)
{
	struct audit_journal *j = journal;
	CLEANUP_FREE uint8_t *bytes = NULL;
	struct wr w;
	char lost[24];

	if (!j)
		return;
	bytes = malloc(DATAGRAM_MAX);
	if (!bytes) {
		j->lost++;
		return;
	}
	w = wr_over(bytes, DATAGRAM_MAX);
	add_message(&w, j->volume, event, line, len);
	add_text(&w, "PRIORITY", priority_of(weight, event));
	add_text(&w, "SYSLOG_IDENTIFIER", "tdefs");
	add_text(&w, "TDEFS_VOLUME", j->volume);
	add_text(&w, "TDEFS_EVENT", event);
	add_field(&w, "TDEFS_LINE", line, len);
	add_link(&w, line, len);
	if (j->lost > 0) {
		(void)snprintf(lost, sizeof(lost), "%" PRIu64, j->lost);
		add_text(&w, "TDEFS_LOST", lost);
	}
	if (!w.bad && send_datagram(j, &w))
		j->lost = 0;
	else
		j->lost++;
}

int audit_journal_open(const char *volume, const char *path, struct audit_journal **ret_journal)
{
	struct audit_journal *j;

	if (!getenv("JOURNAL_STREAM") && !getenv("INVOCATION_ID"))
		return -ENOENT;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	if (!path)
		path = AUDIT_JOURNAL_SOCKET;
	j->to.sun_family = AF_UNIX;
	(void)snprintf(j->to.sun_path, sizeof(j->to.sun_path), "%s", path);
	(void)snprintf(j->volume, sizeof(j->volume), "%s", volume);
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (j->fd < 0) {
		int r = -errno;

		free(j);
		return r;
	}
	*ret_journal = j;
	return 0;
}

void audit_journal_close(struct audit_journal *j)
{
	if (!j)
		return;
	close(j->fd);
	free(j);
}
