/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log lines go, and the thread that takes them there: a disk, a terminal
 * or a syslog that hangs holds up that thread and nobody else. Formats nothing
 * but the time and the level. A file that logrotate(8) moved away is followed by
 * its name, before each line: nobody has to send a signal, or to copy.
 */
#include "tdefs/log.h"
#include "tdefs/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINES_MOST	 1024u
#define CLOSE_PATIENCE_S 2

static const struct {
	const char *text;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
};

/* Set by log_open() before other threads start, then only read. */
static enum { TO_FILE, TO_JOURNAL, TO_SYSLOG } kind;
static int log_fd = STDERR_FILENO;
static char log_path[PATH_MAX]; /* "": standard error */

struct line {
	struct line *next;
	enum log_level level;
	time_t at;
	char text[];
};

static struct {
	pthread_t thread;

	pthread_mutex_t lock; /* guards what follows; innermost */
	pthread_cond_t wake, gone;
	struct line *first, *last;
	size_t waiting;
	uint64_t dropped; /* lines, since the last that told of it */
	bool running;	  /* there is the thread; else whoever logs writes */
	bool ended;	  /* it is to write what waits, and to end */
	bool finished;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* systemd names the stream that it reads (systemd.exec(5)); a redirected one is another's. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (!stream || fstat(fd, &st) < 0)
		return false;
	(void)snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

static int open_file(void)
{
	int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

	return fd < 0 ? -errno : fd;
}

static int log_to_file(const char *path)
{
	int fd;

	if (strlen(path) >= sizeof(log_path))
		return -ENAMETOOLONG;
	memcpy(log_path, path, strlen(path) + 1);
	fd = open_file();
	if (fd < 0)
		return fd;
	log_fd = fd;
	return 0;
}

int log_open(const char *target)
{
	if (strcmp(target, "stderr") == 0) {
		kind = is_journal(STDERR_FILENO) ? TO_JOURNAL : TO_FILE;
		log_fd = STDERR_FILENO;
		log_path[0] = '\0';
		return 0;
	}
	if (strcmp(target, "syslog") == 0) {
		openlog("tdefs", LOG_PID, LOG_DAEMON);
		kind = TO_SYSLOG;
		return 0;
	}
	kind = TO_FILE;
	return log_to_file(target);
}

/* While the name cannot be had the file of before goes on. The descriptor's number stays. */
static void follow_name(void)
{
	struct stat named, ours;
	int fd;

	if (kind != TO_FILE || !log_path[0] || fstat(log_fd, &ours) < 0)
		return;
	if (lstat(log_path, &named) == 0 && named.st_ino == ours.st_ino &&
	    named.st_dev == ours.st_dev)
		return;
	fd = open_file();
	if (fd < 0)
		return;
	IGNORE_RESULT(dup3(fd, log_fd, O_CLOEXEC), "then it is tried with the next line");
	close(fd);
}

static const char *time_of(time_t at, char out[static 32])
{
	struct tm tm;

	if (!gmtime_r(&at, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
	return out;
}

/* The journal has its own time, and takes the level from sd-daemon(3)'s prefix. */
static int print_line(char *line, size_t size, enum log_level level, time_t at, const char *message)
{
	char when[32];

	if (kind == TO_JOURNAL)
		return snprintf(line, size, "<%d>%s\n", levels[level].priority, message);
	return snprintf(line, size, "%s %s: %s\n", time_of(at, when), levels[level].text, message);
}

static void write_line(enum log_level level, time_t at, const char *message)
{
	char line[2048];
	int len = print_line(line, sizeof(line), level, at, message);

	if (len >= (int)sizeof(line)) {
		len = (int)sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	/* One write(2), so that lines of several threads and programs do not mix. */
	IGNORE_RESULT(write(log_fd, line, (size_t)len), "nowhere left to report it");
}

static void write_out(enum log_level level, time_t at, const char *message)
{
	if (kind == TO_SYSLOG)
		syslog(levels[level].priority, "%s", message);
	else
		write_line(level, at, message);
}

/* Wait for the next line; NULL: there is none, and the end is near, or lines were dropped. */
static struct line *take_line(uint64_t *ret_dropped, bool *ret_ended)
{
	struct line *line;
	LOCK_SCOPE(&queue.lock);

	while (!queue.first && !queue.ended && queue.dropped == 0)
		pthread_cond_wait(&queue.wake, &queue.lock);
	line = queue.first;
	if (line) {
		queue.first = line->next;
		queue.waiting--;
	}
	*ret_dropped = queue.first ? 0 : queue.dropped; /* told after what came before them */
	if (*ret_dropped)
		queue.dropped = 0;
	*ret_ended = queue.ended && !queue.first;
	return line;
}

static void write_dropped(uint64_t dropped)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "%llu lines of this log were dropped: it was stuck",
		       (unsigned long long)dropped);
	write_out(LOG_LEVEL_WARNING, time(NULL), text);
}

static void *write_loop(void *arg)
{
	bool ended = false;

	while (!ended) {
		uint64_t dropped;
		struct line *line = take_line(&dropped, &ended);

		follow_name();
		if (line)
			write_out(line->level, line->at, line->text);
		free(line);
		if (dropped)
			write_dropped(dropped);
	}
	LOCK_SCOPE(&queue.lock);
	queue.finished = true;
	pthread_cond_signal(&queue.gone);
	return arg;
}

static void before_fork(void)
{
	pthread_mutex_lock(&queue.lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&queue.lock);
}

/* The thread, and what it was to write, are the parent's. */
static void after_fork_in_child(void)
{
	queue.running = queue.ended = queue.finished = false;
	queue.first = NULL;
	queue.waiting = 0;
	queue.dropped = 0;
	pthread_mutex_unlock(&queue.lock);
}

static void init_conditions(void)
{
	pthread_cond_init(&queue.wake, NULL);
	cond_init_monotonic(&queue.gone);
}

int log_start(void)
{
	static bool prepared;
	int r = prepared ? 0 : -pthread_atfork(before_fork, after_fork, after_fork_in_child);

	if (r < 0)
		return r;
	prepared = true;
	init_conditions(); /* anew: a child's are not usable */
	r = -pthread_create(&queue.thread, NULL, write_loop, NULL);
	LOCK_SCOPE(&queue.lock);
	queue.running = r == 0;
	return r;
}

/* Under the lock. */
static void append(struct line *line)
{
	line->next = NULL;
	if (queue.first)
		queue.last->next = line;
	else
		queue.first = line;
	queue.last = line;
	queue.waiting++;
}

static struct line *line_new(enum log_level level, const char *message)
{
	size_t len = strlen(message) + 1;
	struct line *line = malloc(sizeof(*line) + len);

	if (!line)
		return NULL;
	line->level = level;
	line->at = time(NULL);
	memcpy(line->text, message, len);
	return line;
}

/* False: there is no thread, and whoever logs writes. */
static bool hand_over(enum log_level level, const char *message)
{
	struct line *line;
	LOCK_SCOPE(&queue.lock);

	if (!queue.running)
		return false;
	line = queue.waiting < LINES_MOST && !queue.ended ? line_new(level, message) : NULL;
	if (line)
		append(line);
	else
		queue.dropped++;
	pthread_cond_signal(&queue.wake);
	return true;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char message[1920];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (!hand_over(level, message))
		write_out(level, time(NULL), message);
}

/* Whether everything is written by then. */
static bool await_end(void)
{
	struct timespec until;
	int error = 0;
	LOCK_SCOPE(&queue.lock);

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLOSE_PATIENCE_S;
	queue.ended = true;
	pthread_cond_signal(&queue.wake);
	while (!queue.finished && error == 0)
		error = pthread_cond_timedwait(&queue.gone, &queue.lock, &until);
	return queue.finished;
}

void log_close(void)
{
	{
		LOCK_SCOPE(&queue.lock);
		if (!queue.running || queue.ended)
			return;
	}
	if (!await_end()) {
		pthread_detach(queue.thread);
		return;
	}
	pthread_join(queue.thread, NULL);
	LOCK_SCOPE(&queue.lock);
	queue.running = queue.ended = queue.finished = false;
}
