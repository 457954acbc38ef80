/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of tdefsctl header that have a file of their own. */
#ifndef TDEFSCTL_HEADER_COPY_H
#define TDEFSCTL_HEADER_COPY_H

#include "tdefs/atomic_file.h"
#include "tdefsctl.h"

/* Exit codes. */
int header_backup(struct call *call, const char *name, const char *path);
int header_restore(struct call *call, const char *name, const char *path);

#endif
