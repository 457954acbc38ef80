/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: whoever decides logs, once; libraries return errors. Lines
 * go to standard error, syslog(3) or a file. Never a secret, at any level.
 * All functions are thread-safe once log_open() returned.
 *
 * After log_start() a thread of its own writes, and log_write() waits for nothing:
 * a log that hangs stops nobody. What finds no room is counted, and told later.
 * It follows a file's name: one that was moved away or removed is opened anew.
 * Where standard error is systemd's journal, lines carry its priorities.
 */
#ifndef TDEFS_LOG_H
#define TDEFS_LOG_H

#include "tdefs/cleanup.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO };

/* `target`: "stderr", "syslog" or the path of a file to append to. 0 or a negative errno. */
int log_open(const char *target) WARN_UNUSED;

/* Start that thread. A child after fork(2) has none, and writes itself. 0 or a negative errno. */
int log_start(void) WARN_UNUSED;
/* End it: what waits is written first, but a log that hangs is given up after two seconds. */
void log_close(void);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
