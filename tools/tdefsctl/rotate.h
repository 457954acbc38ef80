/* SPDX-License-Identifier: Apache-2.0 */
/* What tdefsctl rotate and rewrap share. */
#ifndef TDEFSCTL_ROTATE_H
#define TDEFSCTL_ROTATE_H

#include "tdefs/volume_rotate.h"
#include "tdefsctl.h"

/* --to, --retire and the like; an error, with its exit code printed, is negative. */
int rotation_request_of(struct call *call, struct rotation_request *ret_request) WARN_UNUSED;

/* A header that nobody has mounted, and what came of it. The exit code. */
int rewrap_target(struct call *call, const char *verb, const struct target *t,
		  const struct rotation_request *request);

/* The outcome as status --json has it, printed. The exit code. */
int rotation_report(struct call *call, const json_t *rotation);

#endif
