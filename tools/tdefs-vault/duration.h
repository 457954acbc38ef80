/* SPDX-License-Identifier: Apache-2.0 */
/* ISO 8601 durations as rotation policies use them: P2Y, P18M, P30D, P4W. Pure. */
#ifndef TDEFS_VAULT_DURATION_H
#define TDEFS_VAULT_DURATION_H

#include <stdint.h>

#include "tdefs/cleanup.h"

struct duration {
	int months, days;
};

/* -EINVAL for anything else, an empty or a zero duration included. */
int duration_parse(const char *text, struct duration *ret) WARN_UNUSED;
/* At least; a month has 28 days here. */
int duration_days(const struct duration *d);
/* By the calendar, in UTC. */
int64_t duration_after(int64_t when, const struct duration *d);
int64_t duration_before(int64_t when, const struct duration *d);

#endif
