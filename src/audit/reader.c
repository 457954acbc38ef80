/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of all files of a log, oldest first, and those that are still to come. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_internal.h"
#include "tdefs/audit_read.h"

#define FILES_MAX  128 /* more than event_log_keep may be */
#define BUFFER_LEN ((size_t)64 * 1024)
#define OPEN_TRIES 100 /* so often the log may be rotated while it is opened */
#define TOO_LONG   AUDIT_LINE_MAX

struct source {
	int fd;
	unsigned n; /* as in its name, when it was opened */
	dev_t dev;
	ino_t ino;
};

/* Oldest first. */
struct sources {
	struct source at[FILES_MAX];
	size_t n;
};

struct audit_reader {
	int dirfd;
	char volume[AUDIT_NAME_MAX];
	struct sources files; /* the first is the one being read */
	char file_name[AUDIT_NAME_MAX];
	uint64_t number;
	bool skipping; /* in the rest of a line that was too long */
	char *buf;
	size_t start, len; /* what was read and not handed out */
};

static void close_sources(struct sources *s)
{
	while (s->n > 0)
		close(s->at[--s->n].fd);
}

/* 0 and a file, -ENOENT, or why it is not to be read. */
static int open_source(struct audit_reader *r, unsigned n, struct source *ret_source)
{
	char name[AUDIT_NAME_MAX];
	struct stat st;
	int fd;

	audit_log_name(r->volume, n, name);
	fd = openat(r->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	*ret_source = (struct source){ fd, n, st.st_dev, st.st_ino };
	return 0;
}

static bool same_file(const struct source *a, const struct source *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/* All files, opened from the youngest on; `known`: no older than that one. */
static int open_once(struct audit_reader *r, const struct source *known, struct sources *ret)
{
	struct source found[FILES_MAX];
	size_t count = 0;
	int error = 0;

	for (unsigned n = 0; n < FILES_MAX && error == 0; n++) {
		error = open_source(r, n, &found[count]);
		if (error == -ENOENT) {
			error = 0;
			continue;
		}
		if (error < 0)
			break;
		if (known && same_file(known, &found[count])) {
			close(found[count].fd);
			break;
		}
		count++;
	}
	ret->n = 0;
	while (count > 0)
		ret->at[ret->n++] = found[--count];
	if (error < 0)
		close_sources(ret);
	return error;
}

/* Is the youngest still the youngest? Else the log was rotated meanwhile. */
static bool is_settled(struct audit_reader *r, const struct sources *s)
{
	struct source now = { .fd = -1 };
	int error = open_source(r, 0, &now);

	if (error == 0)
		close(now.fd);
	if (s->n == 0 || s->at[s->n - 1].n != 0)
		return error < 0;
	return error == 0 && same_file(&now, &s->at[s->n - 1]);
}

static int open_sources(struct audit_reader *r, const struct source *known, struct sources *ret)
{
	for (unsigned i = 0; i < OPEN_TRIES; i++) {
		int error = open_once(r, known, ret);

		if (error < 0)
			return error;
		/* With `known` the youngest of all there may be none younger. */
		if ((known && ret->n == 0) || is_settled(r, ret))
			return 0;
		close_sources(ret);
	}
	return -EAGAIN;
}

static void begin_file(struct audit_reader *r)
{
	audit_log_name(r->volume, r->files.at[0].n, r->file_name);
	r->number = 0;
	r->skipping = false;
}

static void next_file(struct audit_reader *r)
{
	close(r->files.at[0].fd);
	r->files.n--;
	memmove(&r->files.at[0], &r->files.at[1], r->files.n * sizeof(r->files.at[0]));
	begin_file(r);
}

/* 1: something was read; 0: end of this file. */
static int fill(struct audit_reader *r)
{
	ssize_t n;

	memmove(r->buf, r->buf + r->start, r->len);
	r->start = 0;
	do
		n = read(r->files.at[0].fd, r->buf + r->len, BUFFER_LEN - r->len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r->len += (size_t)n;
	return n > 0;
}

static void hand_out(struct audit_reader *r, size_t len, bool whole, struct audit_raw *ret_raw)
{
	*ret_raw = (struct audit_raw){ .text = r->buf + r->start,
				       .len = len,
				       .whole = whole && len < TOO_LONG,
				       .file = r->file_name,
				       .number = r->number + 1 };
}

static void consume(struct audit_reader *r, size_t len)
{
	r->start += len;
	r->len -= len;
}

/* A line in the buffer; a longer one is told of once, and then passed over. */
static bool take_line(struct audit_reader *r, struct audit_raw *ret_raw)
{
	for (;;) {
		const char *end = memchr(r->buf + r->start, '\n', r->len);
		size_t len = end ? (size_t)(end - (r->buf + r->start)) : r->len;
		bool skipped = r->skipping;

		if (!end && len < TOO_LONG && !skipped)
			return false;
		if (!skipped)
			hand_out(r, len, end != NULL, ret_raw);
		consume(r, len + (end != NULL));
		r->skipping = !end;
		r->number += end != NULL;
		if (!skipped)
			return true;
		if (!end)
			return false;
	}
}

/* At the end of a file that is not the last: what follows its last newline is handed out. */
static bool end_file(struct audit_reader *r, struct audit_raw *ret_raw)
{
	bool rest = audit_reader_rest(r, ret_raw);

	consume(r, r->len);
	return rest;
}

int audit_reader_next(struct audit_reader *r, struct audit_raw *ret_raw)
{
	for (;;) {
		struct sources younger;
		int n;

		if (take_line(r, ret_raw))
			return 1;
		n = fill(r);
		if (n != 0) {
			if (n < 0)
				return n;
			continue;
		}
		if (r->files.n > 1) {
			if (r->len > 0 && end_file(r, ret_raw))
				return 1;
			next_file(r);
			continue;
		}
		n = open_sources(r, &r->files.at[0], &younger);
		if (n < 0 || younger.n == 0)
			return n == -EAGAIN ? 0 : n;
		if (younger.n >= FILES_MAX) {
			close_sources(&younger);
			return -EMFILE;
		}
		/* This one may have got more before it was rotated: it is read on. */
		memcpy(&r->files.at[1], younger.at, younger.n * sizeof(younger.at[0]));
		r->files.n += younger.n;
	}
}

bool audit_reader_rest(struct audit_reader *r, struct audit_raw *ret_raw)
{
	if (r->len == 0 || r->skipping)
		return false;
	hand_out(r, r->len, false, ret_raw);
	return true;
}

static int open_all(struct audit_reader *r, const char *event_dir)
{
	int error;

	r->dirfd = open(event_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->buf = malloc(BUFFER_LEN);
	if (r->dirfd < 0 || !r->buf)
		return r->buf ? -errno : -ENOMEM;
	error = open_sources(r, NULL, &r->files);
	if (error == 0 && r->files.n == 0)
		error = -ENOENT;
	if (error == 0)
		begin_file(r);
	return error;
}

int audit_reader_open(const char *event_dir, const char *volume, struct audit_reader **ret_reader,
		      struct errmsg *reterr)
{
	CLEANUP_AUDIT_READER struct audit_reader *r = calloc(1, sizeof(*r));
	int error = -ENOMEM;

	if (r) {
		r->dirfd = -1;
		(void)snprintf(r->volume, sizeof(r->volume), "%s", volume);
		error = open_all(r, event_dir);
	}
	if (error < 0) {
		if (error == -ENOENT)
			errmsg_next(reterr, "it is made when %s is mounted", volume);
		else if (error == -EACCES)
			errmsg_next(reterr, "be root or in the group " AUDIT_GROUP);
		else
			errmsg_next(reterr, "its files, %s.jsonl and so on, must be regular ones",
				    volume);
		return errmsg_fail(reterr, error, EXIT_CODE_FAILED,
				   "%s: cannot open the event log in %s: %s", volume, event_dir,
				   errno_text(error));
	}
	*ret_reader = TAKE_PTR(r);
	return 0;
}

void audit_reader_close(struct audit_reader *r)
{
	if (!r)
		return;
	close_sources(&r->files);
	if (r->dirfd >= 0)
		close(r->dirfd);
	free(r->buf);
	free(r);
}
