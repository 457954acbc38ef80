/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of tdefsctl status share. */
#ifndef TDEFSCTL_STATUS_H
#define TDEFSCTL_STATUS_H

#include <stdio.h>

#include "tdefsctl.h"

/* All of it; one that is not mounted is a line. */
void status_print(FILE *out, const json_t *volume);
/* "sales: read-only (outage)", without a newline. */
void status_print_head(FILE *out, const json_t *volume);

/* {"schema", "name", "state"} of a volume that tells nothing itself. */
json_t *status_of_state(const struct volume_config *vc, const char *state) WARN_UNUSED;

/* tdefsctl status NAME --watch: until a signal, or the daemon is gone. An exit code. */
int status_watch(struct call *call, const struct volume_config *vc);

#endif
