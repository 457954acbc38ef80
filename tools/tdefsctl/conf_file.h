/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs.conf as a file that is changed: whole, or not at all. */
#ifndef TDEFSCTL_CONF_FILE_H
#define TDEFSCTL_CONF_FILE_H

#include "tdefsctl.h"

/* Its text; an error is in call->err. The caller's to free. */
int conf_read(struct call *call, char **ret_text) WARN_UNUSED;

/*
 * Put `now` in the place of `was`, with the owner, the mode and the extended attributes
 * (labels, ACLs) of the file that it replaces; durable when it returns. Exit code 8: the
 * file says something else than `was` by now, and stays.
 */
int conf_replace(struct call *call, const char *was, const char *now) WARN_UNUSED;

#endif
