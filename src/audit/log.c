/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to the log's file, one process at a time. Everything is opened anew
 * each time: directories come and go, and another process may have written.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "audit_internal.h"

#define TAIL_MAX ((size_t)2 * AUDIT_LINE_MAX)

/* An append at work. */
struct append {
	const struct audit_log *log;
	struct audit_batch *batch;
	int event_dirfd, state_dirfd, lock_fd, fd;
	uint64_t size;		/* of the file */
	uint64_t torn;		/* bytes after its last line that is one */
	bool unended;		/* the last of them is no newline */
	struct audit_link tail; /* that line, or the last of the file before; seq 0: none */
	struct audit_head head;
};

uint64_t audit_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int failed(struct errmsg *reterr, int r, const char *what, const char *path)
{
	errmsg_next(reterr, "make room and %s writable", path);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "event log: cannot %s %s: %s", what, path,
			   errno_text(r));
}

static int open_dir(const struct sysio *sys, const char *path, mode_t mode)
{
	int fd = sys->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd != -ENOENT)
		return fd;
	r = sys->mkdirat(AT_FDCWD, path, mode);
	if (r < 0 && r != -EEXIST)
		return r;
	return sys->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

/* What is new: whoever runs us has a umask. Without it root reads, and nobody else. */
static void give_to_readers(const struct audit_log *log, int fd, mode_t mode)
{
	if (log->sys->fchownat(fd, "", (uid_t)-1, log->readers, AT_EMPTY_PATH) == 0)
		IGNORE_RESULT(fchmod(fd, mode), "root reads it");
}

static int open_event_dir(const struct audit_log *log)
{
	int fd = log->sys->openat(AT_FDCWD, log->event_dir, O_RDONLY | O_DIRECTORY, 0);

	if (fd != -ENOENT)
		return fd;
	fd = open_dir(log->sys, log->event_dir, 0750);
	if (fd >= 0)
		give_to_readers(log, fd, 0750);
	return fd;
}

static int refuse_fuse(const struct audit_log *log, int dirfd, struct errmsg *reterr)
{
	struct statfs st;

	if (log->sys->fstatfs(dirfd, &st) < 0 || st.f_type != FUSE_SUPER_MAGIC)
		return 0;
	errmsg_next(reterr, "set event_dir to a place on a file system of the host");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
			   "event_dir = %s is on a FUSE mount: a volume that is down would take "
			   "the log of it along",
			   log->event_dir);
}

int audit_log_check_dir(const struct audit_log *log, struct errmsg *reterr)
{
	CLEANUP_CLOSE int dirfd = open_event_dir(log);

	return dirfd < 0 ? 0 : refuse_fuse(log, dirfd, reterr);
}

/* Only we may take it: a lock on the log itself could be held by whoever may read it. */
static int take_lock(struct append *a, struct errmsg *reterr)
{
	const struct audit_log *log = a->log;
	char name[AUDIT_NAME_MAX];

	a->state_dirfd = open_dir(log->sys, log->state_dir, 0700);
	if (a->state_dirfd < 0)
		return failed(reterr, a->state_dirfd, "open", log->state_dir);
	(void)snprintf(name, sizeof(name), "%s.log-lock", log->volume);
	a->lock_fd = log->sys->openat(a->state_dirfd, name,
				      O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (a->lock_fd < 0)
		return failed(reterr, a->lock_fd, "make a lock in", log->state_dir);
	while (flock(a->lock_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return failed(reterr, -errno, "lock a file in", log->state_dir);
	return 0;
}

static int open_dirs(struct append *a, struct errmsg *reterr)
{
	const struct audit_log *log = a->log;

	a->event_dirfd = open_event_dir(log);
	if (a->event_dirfd < 0)
		return failed(reterr, a->event_dirfd, "open", log->event_dir);
	return refuse_fuse(log, a->event_dirfd, reterr);
}

static int open_log(struct append *a, struct errmsg *reterr)
{
	const struct audit_log *log = a->log;
	char name[AUDIT_NAME_MAX];
	struct stat st;
	int r;

	audit_log_name(log->volume, 0, name);
	a->fd = log->sys->openat(a->event_dirfd, name,
				 O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0640);
	r = a->fd < 0 ? a->fd : log->sys->fstatat(a->fd, "", &st, AT_EMPTY_PATH);
	if (r == 0 && (!S_ISREG(st.st_mode) || st.st_nlink > 1))
		r = -EINVAL; /* a device, a FIFO, or a name of some other file */
	if (r < 0)
		return failed(reterr, r, "open the log in", log->event_dir);
	a->size = (uint64_t)st.st_size;
	if (a->size == 0)
		give_to_readers(log, a->fd, 0640);
	return 0;
}

/* The last line in a file of `size` bytes that is one: where it ends, 0 when there is none. */
static int find_last(struct append *a, int fd, uint64_t size, uint64_t *ret_end)
{
	CLEANUP_FREE char *buf = malloc(TAIL_MAX);
	size_t want = size < TAIL_MAX ? (size_t)size : TAIL_MAX;
	const char *end, *start;
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	n = sysio_pread_full(a->log->sys, fd, buf, want, size - want);
	if (n < 0)
		return (int)n;
	*ret_end = 0;
	a->unended = n > 0 && buf[n - 1] != '\n';
	for (end = memrchr(buf, '\n', (size_t)n); end; end = start ? start - 1 : NULL) {
		start = memrchr(buf, '\n', (size_t)(end - buf));
		start = start ? start + 1 : NULL;
		if (audit_line_link(start ? start : buf, (size_t)(end - (start ? start : buf)),
				    &a->tail) == 0) {
			*ret_end = size - want + (uint64_t)(end - buf) + 1;
			break;
		}
	}
	return 0;
}

/* The same of the file before; when there is none, there is no line. */
static int find_last_before(struct append *a)
{
	const struct sysio *sys = a->log->sys;
	char name[AUDIT_NAME_MAX];
	struct stat st;
	uint64_t end;
	int fd, r;

	audit_log_name(a->log->volume, 1, name);
	fd = sys->openat(a->event_dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = sys->fstatat(fd, "", &st, AT_EMPTY_PATH);
	if (r == 0)
		r = find_last(a, fd, (uint64_t)st.st_size, &end);
	IGNORE_RESULT(sys->close(fd), "only read");
	return r;
}

static int find_tail(struct append *a, struct errmsg *reterr)
{
	uint64_t end = 0;
	int r = find_last(a, a->fd, a->size, &end);
	bool unended = a->unended;

	if (r == 0 && end == 0)
		r = find_last_before(a);
	if (r < 0)
		return failed(reterr, r, "read the log in", a->log->event_dir);
	a->torn = a->size - end;
	a->unended = unended;
	return 0;
}

static void note(struct audit_batch *b, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void note(struct audit_batch *b, const char *event, const char *fmt, ...)
{
	char *members = b->note_members[b->nnotes];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(members, sizeof(b->note_members[0]), fmt, ap);
	va_end(ap);
	b->notes[b->nnotes++] = (struct audit_item){
		.weight = AUDIT_MAJOR, .event = event, .time_ms = audit_now_ms(), .members = members
	};
}

static int print_item(struct append *a, struct audit_item *item, struct audit_link *link)
{
	struct audit_batch *b = a->batch;
	int n = audit_line_print(b->text + b->len, a->log->volume, item, link);

	if (n < 0)
		return n;
	item->line_off = b->len;
	item->line_len = (size_t)n;
	b->len += (size_t)n;
	b->text[b->len++] = '\n';
	return 0;
}

/*
 * Where the chain goes on. A log that ends before its head was cut: the gap
 * stays in the chain for whoever verifies it. One that ends after it is what a
 * crash between the two leaves.
 */
static int find_link(struct append *a, struct errmsg *reterr)
{
	struct audit_batch *b = a->batch;
	int r = audit_head_read(a->log->sys, a->state_dirfd, a->log->volume, &a->head);
	const struct audit_link *last = &a->head.last;
	bool cut = a->tail.seq < last->seq ||
		   (a->tail.seq == last->seq && memcmp(&a->tail, last, sizeof(*last)) != 0);

	b->head = a->tail;
	b->nnotes = 0;
	if (r == -ENOENT || r == -EBADMSG) {
		if (a->tail.seq > 0 || r == -EBADMSG)
			note(b, "log_head_lost", "%s", "");
		a->head = (struct audit_head){ .first = a->tail.seq + 1 };
		r = audit_head_write(a->log->sys, a->state_dirfd, a->log->volume, &a->head);
	} else if (r == 0 && cut) {
		b->head = *last;
		note(b, "log_cut", ",\"found\":%" PRIu64 ",\"expected\":%" PRIu64, a->tail.seq,
		     last->seq);
	}
	if (r < 0)
		return failed(reterr, r, "keep the head of the log in", a->log->state_dir);
	if (a->torn > 0 && !cut)
		note(b, "log_torn", ",\"bytes\":%" PRIu64, a->torn);
	return 0;
}

/* All lines of the batch, after the newline that a torn one lacks. */
static int print_batch(struct append *a, struct errmsg *reterr)
{
	struct audit_batch *b = a->batch;
	int r = 0;

	free(b->text);
	b->text = malloc(1 + (b->nnotes + b->nitems) * (AUDIT_LINE_MAX + 1));
	b->len = 0;
	if (!b->text)
		return failed(reterr, -ENOMEM, "write the log in", a->log->event_dir);
	b->text[b->len++] = '\n';
	for (size_t i = 0; r == 0 && i < b->nnotes; i++)
		r = print_item(a, &b->notes[i], &b->head);
	for (size_t i = 0; r == 0 && i < b->nitems; i++)
		r = print_item(a, &b->items[i], &b->head);
	return r < 0 ? failed(reterr, r, "write the log in", a->log->event_dir) : 0;
}

/* A file that would become too long makes room. A torn line stays where it is. */
static int rotate(struct append *a, struct errmsg *reterr)
{
	const struct audit_log *log = a->log;
	int r;

	if (a->size == 0 || a->size + a->batch->len <= log->max_size)
		return 0;
	r = audit_log_rotate(log, a->event_dirfd, a->state_dirfd, &a->head);
	if (r < 0)
		return failed(reterr, r, "rotate the log in", log->event_dir);
	IGNORE_RESULT(log->sys->close(TAKE_FD(a->fd)), "what was written is synced");
	a->unended = false;
	return open_log(a, reterr);
}

/* All of it and durable, or as it was before. */
static int write_text(struct append *a, struct errmsg *reterr)
{
	const struct sysio *sys = a->log->sys;
	struct audit_batch *b = a->batch;
	size_t skip = a->unended ? 0 : 1;
	int r;

	if (b->len == 1)
		return 0;
	/* O_APPEND: at the end, wherever that is. */
	r = sysio_pwrite_all(sys, a->fd, b->text + skip, b->len - skip, a->size);
	if (r == 0)
		r = sys->fdatasync(a->fd);
	if (r == 0 && a->size == 0)
		r = sys->fsync(a->event_dirfd);
	if (r < 0) {
		IGNORE_RESULT(sys->ftruncate(a->fd, (off_t)a->size), "else there is a torn line");
		return failed(reterr, r, "write the log in", a->log->event_dir);
	}
	b->written = true;
	return 0;
}

static int write_head(struct append *a, struct errmsg *reterr)
{
	int r;

	if (memcmp(&a->head.last, &a->batch->head, sizeof(a->head.last)) == 0)
		return 0;
	a->head.last = a->batch->head;
	r = audit_head_write(a->log->sys, a->state_dirfd, a->log->volume, &a->head);
	return r < 0 ? failed(reterr, r, "keep the head of the log in", a->log->state_dir) : 0;
}

static int append(struct append *a, struct errmsg *reterr)
{
	static int (*const steps[])(struct append * a, struct errmsg * reterr) = {
		take_lock,   open_dirs, open_log,   find_tail,	find_link,
		print_batch, rotate,	write_text, write_head,
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
		r = steps[i](a, reterr);
	return r;
}

int audit_log_append(const struct audit_log *log, struct audit_batch *batch, struct errmsg *reterr)
{
	struct append a = { .log = log,
			    .batch = batch,
			    .event_dirfd = -1,
			    .state_dirfd = -1,
			    .lock_fd = -1,
			    .fd = -1 };
	const int *fds[] = { &a.fd, &a.event_dirfd, &a.state_dirfd, &a.lock_fd };
	int r;

	batch->written = false;
	r = append(&a, reterr);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) /* the lock last */
		if (*fds[i] >= 0)
			IGNORE_RESULT(log->sys->close(*fds[i]), "what was written is synced");
	return r;
}

void audit_batch_release(struct audit_batch *batch)
{
	free(batch->text);
	batch->text = NULL;
}
