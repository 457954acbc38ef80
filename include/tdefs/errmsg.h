/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the control path: the one table of exit codes, and the sentence a
 * person reads. The data path answers errno alone and never formats text.
 *
 * A function that takes `struct errmsg *reterr` fills it on failure only, and
 * returns a negative errno. The text names the thing and the reason; `next`
 * says what to do about it.
 */
#ifndef TDEFS_ERRMSG_H
#define TDEFS_ERRMSG_H

/* User-visible and stable; several volumes: the worst. Retired numbers stay reserved. */
enum exit_code {
	EXIT_CODE_DONE = 0,	    /* done, or online */
	EXIT_CODE_FAILED = 1,	    /* the operation failed */
	EXIT_CODE_CONFIG = 2,	    /* usage or configuration */
	EXIT_CODE_READ_ONLY = 3,    /* volume is read-only */
	EXIT_CODE_INACCESSIBLE = 4, /* volume is inaccessible */
	EXIT_CODE_NOT_MOUNTED = 5,
	EXIT_CODE_WAITING = 6, /* waiting for a vault */
	EXIT_CODE_POLICY = 7,  /* refused by policy */
	EXIT_CODE_TRY_AGAIN = 8,
};

struct errmsg {
	enum exit_code exit_code;
	char text[1024];    /* what was attempted, on which object, what came back */
	char next[1024];    /* what to do about it */
	const char *policy; /* static: which policy refuses (tdefs/policy.h); NULL: none does */
};

/*
 * Set the text and exit code; returns `r` (a negative errno) so that a caller
 * can `return errmsg_fail(...)`. `e` may be NULL.
 */
int errmsg_fail(struct errmsg *e, int r, enum exit_code code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Set the next step. `e` may be NULL. */
void errmsg_next(struct errmsg *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Set the policy that refuses, a static string. `e` may be NULL. */
void errmsg_policy(struct errmsg *e, const char *policy);

/* Print "PROGRAM: text" and "  next: ..." to standard error; returns the exit code. */
int errmsg_print(const struct errmsg *e, const char *program);

/* Text of an errno, positive or negative; a static string, thread-safe. */
const char *errno_text(int err);

#endif
