/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the audit log. Reading them is cmd_audit.c's. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static json_t *now_text(void)
{
	struct timespec ts;
	char seconds[32] = "";
	struct tm tm;

	if (clock_gettime(CLOCK_REALTIME, &ts) == 0 && gmtime_r(&ts.tv_sec, &tm))
		(void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%03ldZ", seconds, ts.tv_nsec / 1000000);
}

/* One write(2), so that lines of several threads and programs do not mix. */
static int append(int dirfd, json_t *object, bool durable)
{
	CLEANUP_CLOSE int fd = openat(dirfd, AUDIT_FILE,
				      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	CLEANUP_FREE char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	CLEANUP_FREE char *line = NULL;
	ssize_t n;
	int len = text ? asprintf(&line, "%s\n", text) : -1;

	json_decref(object);
	if (fd < 0)
		return -errno;
	if (len < 0)
		return -ENOMEM;
	n = write(fd, line, (size_t)len);
	if (n != len)
		return n < 0 ? -errno : -ENOSPC;
	return durable && fdatasync(fd) < 0 ? -errno : 0;
}

int audit_call(const struct request *rq, const struct answer *a, bool durable)
{
	const struct caller *c = &rq->caller;
	json_t *line =
		json_pack("{s:o, s:s, s:s, s:s*, s:s*, s:s, s:s, s:s*, s:i, s:s}", "time",
			  now_text(), "request_id", rq->id, "identity", c->name[0] ? c->name : "-",
			  "appid", c->client_id[0] ? c->client_id : NULL, "oid",
			  c->oid[0] ? c->oid : NULL, "client", rq->client, "operation",
			  rq->operation ? rq->operation : "Unknown", "kid",
			  a->kid[0] ? a->kid : NULL, "status", (int)a->status, "result",
			  a->result[0]	    ? a->result
			  : a->status < 400 ? "Success"
					    : "Error");

	if (c->local && line)
		(void)json_object_set_new(line, "uid", json_integer((json_int_t)c->uid));
	return append(rq->vault->dirfd, line, durable);
}

int audit_local(const struct vault *v, const char *operation, const char *object,
		const char *result)
{
	char id[UUID_TEXT_LEN];

	if (random_uuid(id) < 0)
		return -EIO;
	return append(v->dirfd,
		      json_pack("{s:o, s:s, s:s, s:I, s:s, s:s, s:s*, s:s}", "time", now_text(),
				"request_id", id, "identity", "local", "uid", (json_int_t)getuid(),
				"client", "local", "operation", operation, "object", object,
				"result", result),
		      true);
}
