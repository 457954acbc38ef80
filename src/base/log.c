/* SPDX-License-Identifier: Apache-2.0 */
/* Where log lines go. Formats nothing but the time and the level. */
#include "tdefs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

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

static void write_line(enum log_level level, const char *message)
{
	char line[2048], when[32];
	struct tm tm;
	time_t now = time(NULL);
	int len;

	if (!gmtime_r(&now, &tm) || strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		when[0] = '\0';
	len = snprintf(line, sizeof(line), "%s %s: %s\n", when, levels[level].text, message);
	if (len >= (int)sizeof(line)) {
		len = (int)sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	/* One write(2), so that lines of several threads and programs do not mix. */
	IGNORE_RESULT(write(log_fd, line, (size_t)len), "nowhere left to report it");
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char message[1920];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (log_to_syslog)
		syslog(levels[level].priority, "%s", message);
	else
		write_line(level, message);
}
