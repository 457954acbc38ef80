/* SPDX-License-Identifier: Apache-2.0 */
/* What tdefsctl rotate and rewrap share. */
#ifndef TDEFSCTL_ROTATE_H
#define TDEFSCTL_ROTATE_H

#include "tdefs/volume_rotate.h"
#include "tdefsctl.h"

/* --to, --retire and the like; an error, with its exit code printed, is negative. */
int rotation_request_of(struct call *call, struct rotation_request *ret_request) WARN_UNUSED;

/*
 * The volume call->args[0], by its daemon if it is mounted, and what came of it: "rotated",
 * "retired", "before" and "after". An error is in call->err. Thread-safe, but for the call.
 */
int rotate_volume(struct call *call, const struct rotation_request *request,
		  json_t **ret_rotation) WARN_UNUSED;

/* The same for a header that nobody has mounted. */
int rewrap_target(struct call *call, const char *verb, const struct target *t,
		  const struct rotation_request *request, json_t **ret_rotation) WARN_UNUSED;

/* Each configured volume. The exit code. */
int rotate_all(struct call *call, const struct rotation_request *request);

/* What came of it, printed. The exit code. */
int rotation_report(struct call *call, const json_t *rotation);

#endif
