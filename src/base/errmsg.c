/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence a person reads when something failed. Does not decide where it goes. */
#include "tdefs/errmsg.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int errmsg_fail(struct errmsg *e, int r, enum exit_code code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return r;
	e->exit_code = code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return r;
}

void errmsg_next(struct errmsg *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(e->next, sizeof(e->next), fmt, ap);
	va_end(ap);
}

void errmsg_policy(struct errmsg *e, const char *policy)
{
	if (e)
		e->policy = policy;
}

int errmsg_print(const struct errmsg *e, const char *program)
{
	fprintf(stderr, "%s: %s\n", program, e->text);
	if (e->next[0])
		fprintf(stderr, "  next: %s\n", e->next);
	return (int)e->exit_code;
}

const char *errno_text(int err)
{
	const char *text = strerrordesc_np(abs(err));

	return text ? text : "unknown error";
}
