/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefsctl status --security: what confines a daemon and its keeper. Read from
 * /proc and from files wherever it stands there: evidence, and no claim of the
 * daemon's.
 */
#ifndef TDEFSCTL_SECURITY_H
#define TDEFSCTL_SECURITY_H

#include <stdio.h>

#include "tdefsctl.h"

/* How a fact is to be taken. */
enum security_verdict { SECURITY_GOOD, SECURITY_BAD, SECURITY_UNKNOWN };

/* What is being looked at, and what was found: an array of name, value, verdict, next. */
struct security {
	const struct volume_config *vc;
	const json_t *status; /* the daemon's own answer */
	pid_t daemon, keeper; /* 0: there is none */
	json_t *facts;
	bool failed; /* no memory */
};

/* One fact more; `next` NULL: there is nothing to be done. */
__attribute__((format(printf, 5, 6))) void security_add(struct security *s, const char *name,
							enum security_verdict verdict,
							const char *next, const char *value, ...);

/* What confines the two processes (security_process.c), and what is around them (security_host.c). */
void security_of_processes(struct security *s);
void security_of_host(struct security *s);

/* The first line of a file, without its end; false: it cannot be read. */
bool security_read_line(const char *path, char *out, size_t len);

/* All of it about a volume that is mounted; NULL: no memory. */
json_t *security_of(const struct volume_config *vc, const json_t *status) WARN_UNUSED;
void security_print(FILE *out, const json_t *facts);

#endif
