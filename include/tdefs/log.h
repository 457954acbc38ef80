/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: whoever decides logs, once; libraries return errors. Lines
 * go to standard error, syslog(3) or a file. Never a secret, at any level.
 * All functions are thread-safe once log_open() returned.
 */
#ifndef TDEFS_LOG_H
#define TDEFS_LOG_H

#include "tdefs/cleanup.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO };

/* `target`: "stderr", "syslog" or the path of a file to append to. 0 or a negative errno. */
int log_open(const char *target) WARN_UNUSED;

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
