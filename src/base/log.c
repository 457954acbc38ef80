/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log lines go, and the thread that takes them there: a disk, a terminal
 * or a syslog that hangs holds up that thread and nobody else. Formats nothing
 * but the time and the level.
 */
#include "tdefs/log.h"
#include "tdefs/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
static int log_fd = STDERR_FILENO;
static bool log_to_syslog;

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

int log_open(const char *target)
{
	int fd;

	if (strcmp(target, "stderr") == 0)
		return 0;
	if (strcmp(target, "syslog") == 0) {
		openlog("tdefs", LOG_PID, LOG_DAEMON);
		log_to_syslog = true;
		return 0;
	}
	fd = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	log_fd = fd;
	return 0;
}

static void write_line(enum log_level level, time_t at, const char *message)
{
	char line[2048], when[32];
	struct tm tm;
	int len;

	if (!gmtime_r(&at, &tm) || strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		when[0] = '\0';
	len = snprintf(line, sizeof(line), "%s %s: %s\n", when, levels[level].text, message);
	if (len >= (int)sizeof(line)) {
		len = (int)sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	/* One write(2), so that lines of several threads and programs do not mix. */
	IGNORE_RESULT(write(log_fd, line, (size_t)len), "nowhere left to report it");
}

static void write_out(enum log_level level, time_t at, const char *message)
{
	if (log_to_syslog)
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
