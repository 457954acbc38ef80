/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of "linked" in the text of a tdefs.conf, every other byte of which stays. Only
 * the lines of one section change; whether the outcome says what was meant is for
 * whoever parses it. Pure.
 */
#ifndef TDEFSCTL_CONF_EDIT_H
#define TDEFSCTL_CONF_EDIT_H

#include "tdefs/cleanup.h"

/* Does the section ("server", "volume NAME") say "linked" itself? */
bool conf_has_linked(const char *text, const char *section);

/*
 * A line "linked = KID" after the last one of the section; at its beginning, where there is
 * none; at the end of the text, where there is no such section. The caller's to free.
 */
int conf_link(const char *text, const char *section, const char *kid, char **ret_text) WARN_UNUSED;

/* Without the kid, and without the lines that said nothing else. */
int conf_unlink(const char *text, const char *section, const char *kid,
		char **ret_text) WARN_UNUSED;

/* The same key version, or the same text. */
bool conf_is_same_kid(const char *a, const char *b);

#endif
