/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vaults say of keys that several volumes may have, such as which version a key's
 * name stands for. Each is asked for once, and a vault that is away once: the time is
 * bounded by the number of vaults, not of volumes. What is refused is refused to one
 * identity, and asked again for a volume that may have another.
 */
#ifndef TDEFSCTL_KEY_FACTS_H
#define TDEFSCTL_KEY_FACTS_H

#include "tdefs/keyring.h"
#include "tdefsctl.h"

/* By whose settings, and for whose event log. */
struct key_asker {
	const struct settings *settings;
	const char *volume; /* NULL: [server] asks, and no event log is told */
};

struct key_fact {
	char kid[KID_MAX + 1];
	const struct key_slot *slot;
	const struct settings *settings;
	enum vault_verdict verdict;
	bool is_away; /* nobody answers there, for whatever key */
	struct vault_key key;
	struct errmsg error;
};

struct key_facts {
	struct call *call;
	const char *verb; /* who asks, in event logs */
	struct key_fact *list;
	size_t count;
};

/*
 * Of the key `kid`; with a slot of that which has the slot's thumbprint, as a secondary's
 * must. Until the next call; NULL: no memory.
 */
const struct key_fact *key_facts_ask(struct key_facts *f, const struct key_asker *asker,
				     const char *kid, const struct key_slot *slot);
void key_facts_release(struct key_facts *f);

#endif
