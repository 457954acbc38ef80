/* SPDX-License-Identifier: Apache-2.0 */
/* Key Vault's answers about keys, as structs (Key Vault REST: KeyBundle, KeyListResult). Pure. */
#ifndef TDEFS_VAULT_AZURE_KEY_H
#define TDEFS_VAULT_AZURE_KEY_H

#include "tdefs/net.h"
#include "tdefs/vault.h"

/*
 * A KeyBundle that must be of the key `asked` (of any version when `asked` has
 * none). NULL, or why it is not one.
 */
const char *azure_key_parse(const struct net_answer *a, const struct kid *asked,
			    struct vault_key *ret_key);

/*
 * One page of versions of `asked`, added to `list`; `ret_next` is the next page's
 * URL, on the same vault, or "". NULL, or why it is no such page.
 */
#define AZURE_URL_MAX 2048
const char *azure_versions_parse(const struct net_answer *a, const struct kid *asked,
				 struct vault_versions *list, char ret_next[static AZURE_URL_MAX]);
/* Newest first; pages come in no order. */
void azure_versions_sort(struct vault_versions *list);

/* The member "kid" of a wrap or unwrap answer; it must be `asked`, of any version if it has none. */
const char *azure_kid_parse(const struct net_answer *a, const struct kid *asked,
			    char ret_kid[static KID_MAX + 1]);

/* What a recoveryLevel means: tokens between '+'; unknown words protect nothing. */
void azure_recovery_parse(const char *level, struct vault_key *key);

#endif
