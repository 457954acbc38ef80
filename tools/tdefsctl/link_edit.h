/* SPDX-License-Identifier: Apache-2.0 */
/* What tdefsctl link and unlink make of tdefs.conf, before they write it. */
#ifndef TDEFSCTL_LINK_EDIT_H
#define TDEFSCTL_LINK_EDIT_H

#include "tdefsctl.h"

struct link_edit {
	struct call *call;
	bool unlink;
	const char *name; /* of a volume; NULL: each */
	const char *kid;
	/* What link_edit_make() fills in: the text and what it says. */
	char *was, *now;
	struct config *before, *after;
};

/*
 * Nothing is written. An error, in call->err: the outcome would not be valid, or would say
 * more than was meant. Release it even then.
 */
int link_edit_make(struct link_edit *e) WARN_UNUSED;
void link_edit_release(struct link_edit *e);

/* Is the key in the list of linked ones? */
bool settings_link(const struct settings *s, const char *kid);

#endif
