/* SPDX-License-Identifier: Apache-2.0 */
/* One key slot: wrapping into it, unwrapping from it. Private to src/keyring. */
#ifndef TDEFS_KEYRING_SLOT_H
#define TDEFS_KEYRING_SLOT_H

#include "tdefs/keyring.h"
#include "tdefs/protector.h"

/*
 * A slot is made in two steps, so that the DEK is in memory for no longer than it
 * must: a new canary first, then the DEK, each wrapped by `key` and verified by
 * unwrapping. The slot becomes the active one.
 */
int slot_begin(struct vault *vault, const struct vault_key *key, uint64_t now,
	       struct key_slot *slot, struct errmsg *reterr) WARN_UNUSED;
int slot_put_dek(struct vault *vault, const struct secret *dek, const struct wrap_limits *limits,
		 struct key_slot *slot, struct errmsg *reterr) WARN_UNUSED;

/* Before any vault is asked: is this slot's key the configured `kid`'s? */
int slot_check(const char *kid, const struct key_slot *slot, const char *volume,
	       struct vault_report *rep) WARN_UNUSED;

/* As keyring_unlock_by(), by any slot of the header. */
int slot_unlock(struct vault *vault, const char *kid, const struct key_slot *slot,
		const struct volume_header *header, const char *volume, unsigned timeout_ms,
		struct secret **ret_dek, struct vault_report *ret_report) WARN_UNUSED;

#endif
