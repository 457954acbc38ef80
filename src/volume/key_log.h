/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the event log is told of the calls to one vault: one event each, but for
 * probes that are granted, which come in sum. Private to src/volume.
 */
#ifndef TDEFS_VOLUME_KEY_LOG_H
#define TDEFS_VOLUME_KEY_LOG_H

#include <pthread.h>

#include "tdefs/audit.h"
#include "tdefs/vault_counts.h"

/* Probes that were granted and not written. */
struct probe_sum {
	uint64_t count;
	uint64_t total_ms, min_ms, max_ms;
};

struct key_log {
	const struct clock *clock;
	const char *by;	      /* who makes the calls; NULL: not said */
	const char *probe_by; /* who probes */

	pthread_mutex_t lock;		 /* guards what follows; above the recorder's alone */
	struct audit *audit;		 /* NULL: nobody is told */
	bool troubled[VAULT_OPERATIONS]; /* the last such call was not granted */
	bool credential_alarm;
	struct probe_sum sums[VAULT_OPERATIONS];
	uint64_t sum_began_ms; /* boot */
	uint64_t sum_since;    /* seconds since 1970 */
	char kid[KID_MAX + 1]; /* of the probes that were summed up */
};

void key_log_init(struct key_log *log, struct audit *audit, const char *by,
		  const struct clock *clock);
/* `probe`: one of many, so that only what is new about it is an event. */
void key_log_call(struct key_log *log, const struct vault_call *call, bool probe);
/* Write the sum of the probes since the last one, if there were any; nothing more from now on. */
void key_log_end(struct key_log *log);
void key_log_release(struct key_log *log);

#endif
