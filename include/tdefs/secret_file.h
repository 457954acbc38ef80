/* SPDX-License-Identifier: Apache-2.0 */
/* Files that hold a long-lived secret (DESIGN.md, "Contract: security"). */
#ifndef TDEFS_SECRET_FILE_H
#define TDEFS_SECRET_FILE_H

#include "tdefs/errmsg.h"
#include "tdefs/secret.h"

enum secret_file_kind {
	SECRET_FILE_PRIVATE,   /* regular, owned by root or oneself, no group or other bits */
	SECRET_FILE_PROJECTED, /* a token that an orchestrator puts there: regular is enough */
};

/*
 * The contents, 1 to `max` bytes. `what` names the file's purpose in messages.
 * -EPERM: owner or mode; -EINVAL: not such a file; else what open or read said.
 */
int secret_file_read(const char *what, const char *path, size_t max, enum secret_file_kind kind,
		     struct secret **ret_secret, struct errmsg *reterr) WARN_UNUSED;

#endif
