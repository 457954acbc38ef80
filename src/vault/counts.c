/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/vault_counts.h"

#include <string.h>

const uint64_t vault_latency_bounds_ms[VAULT_LATENCIES] = { 5,	 10,   25,   50,   100,	 250,
							    500, 1000, 2500, 5000, 10000 };

static const char *const names[VAULT_OPERATIONS] = {
	[VAULT_OPERATION_GET] = "get",
	[VAULT_OPERATION_WRAP] = "wrapKey",
	[VAULT_OPERATION_UNWRAP] = "unwrapKey",
	[VAULT_OPERATION_VERSIONS] = "versions",
};

const char *vault_operation_name(enum vault_operation operation)
{
	return names[operation];
}

static void add(_Atomic uint64_t *count, uint64_t n)
{
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

void vault_counts_add(struct vault_counts *c, const struct vault_call *call)
{
	unsigned operation = 0, slot = 0;

	while (operation < VAULT_OPERATIONS && strcmp(names[operation], call->operation) != 0)
		operation++;
	if (operation == VAULT_OPERATIONS)
		return;
	add(&c->calls[operation][call->report->verdict], 1);
	if (operation != VAULT_OPERATION_UNWRAP)
		return;
	while (slot < VAULT_LATENCIES && call->elapsed_ms > vault_latency_bounds_ms[slot])
		slot++;
	add(&c->unwraps[slot], 1);
	add(&c->unwrap_ms, call->elapsed_ms);
}
