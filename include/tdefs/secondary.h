/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secondary: a second vault with the same RSA key under a kid of its own
 * (imported, or restored from a backup). What the protector wrapped it unwraps.
 *
 * The report's verdict is VAULT_BROKEN where the vault answers, but not for
 * the slot's key.
 */
#ifndef TDEFS_SECONDARY_H
#define TDEFS_SECONDARY_H

#include "tdefs/keyring.h"

/*
 * The kid of the slot's key there, within `timeout_ms` in all: `configured`, if
 * its thumbprint is the slot's; without a version the version that has it,
 * which takes the permission to list where it is not the newest.
 */
enum vault_verdict secondary_find(struct vault *vault, const char *configured,
				  const struct key_slot *slot, const char *volume,
				  const struct clock *clock, unsigned timeout_ms,
				  char ret_kid[static KID_MAX + 1],
				  struct vault_report *ret_report);

/* As keyring_probe(), by the key `kid` that secondary_find() told of. */
enum vault_verdict secondary_probe(struct vault *vault, const char *kid,
				   const struct key_slot *slot, const char *volume,
				   const struct clock *clock, unsigned timeout_ms,
				   struct vault_report *ret_report);

/*
 * As keyring_unlock(), by that key. Granted proves that it unwraps the DEK:
 * its id is the slot's, and the header's HMAC is made with it.
 */
enum vault_verdict secondary_unlock(struct vault *vault, const char *kid,
				    const struct volume_header *header, const char *volume,
				    unsigned timeout_ms, struct secret **ret_dek,
				    struct vault_report *ret_report);

#endif
