/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long work as it goes: one line on standard error, a few times a second, with rate
 * and time left. Nothing where that is no terminal. Not locked.
 */
#ifndef TDEFSCTL_PROGRESS_H
#define TDEFSCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal, shown, whole; /* whole: the end of what it does was shown */
	char doing[16];
	uint64_t began_ms, shown_ms;
};

struct progress_step {
	const char *doing;    /* "copying"; another one has a rate of its own */
	const char *unit;     /* "files" */
	uint64_t per;	      /* a unit is so many of what is counted; 0: one */
	uint64_t done, total; /* total 0: not known */
	uint64_t skipped;     /* of what is done: without work */
	uint64_t further;     /* to be done after this total */
	const char *note;     /* NULL, or what else there is to tell */
};

void progress_begin(struct progress *p);
void progress_show(struct progress *p, const struct progress_step *s);
/* The line goes: what comes of the work is said by others. */
void progress_end(struct progress *p);

#endif
