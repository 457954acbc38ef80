/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of the calls to a vault, for metrics: by operation and verdict, and
 * how long unwrapKey took. Any thread counts and reads; there is no lock.
 */
#ifndef TDEFS_VAULT_COUNTS_H
#define TDEFS_VAULT_COUNTS_H

#include <stdatomic.h>

#include "tdefs/vault.h"

enum vault_operation {
	VAULT_OPERATION_GET,
	VAULT_OPERATION_WRAP,
	VAULT_OPERATION_UNWRAP,
	VAULT_OPERATION_VERSIONS,
	VAULT_OPERATIONS
};

#define VAULT_LATENCIES 11 /* upper bounds; one more count is for what took longer */

struct vault_counts {
	_Atomic uint64_t calls[VAULT_OPERATIONS][VAULT_BROKEN + 1];
	_Atomic uint64_t unwraps[VAULT_LATENCIES + 1]; /* by latency, whatever the verdict */
	_Atomic uint64_t unwrap_ms;		       /* in all */
};

extern const uint64_t vault_latency_bounds_ms[VAULT_LATENCIES]; /* ascending; inclusive */

void vault_counts_add(struct vault_counts *counts, const struct vault_call *call);
const char *vault_operation_name(enum vault_operation operation); /* as vault_call has it */

#endif
