/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rotation exchanges as one: the header in force, and the vault of its
 * active slot's key. Never changed; whoever looks holds it, and the last to let
 * go closes the vault. Private to src/volume.
 */
#ifndef TDEFS_VOLUME_KEY_H
#define TDEFS_VOLUME_KEY_H

#include "tdefs/volume.h"

struct volume_key {
	struct volume_header header;
	struct watched_vault *vault;
	const struct settings
		*settings;     /* by which the vault is reached; they name the protector */
	struct config *config; /* whose they are, owned; NULL: the volume's own */

	/* Under the box's lock. */
	struct key_box *box;
	unsigned holders;
	struct volume_key *next;
};

struct key_box;

struct key_box *key_box_new(void) WARN_UNUSED; /* empty; NULL: no memory */
void key_box_free(struct key_box *b);	       /* accepts NULL */
/* From now on it is this one, which is taken over. */
void key_box_put(struct key_box *b, struct volume_key *k);
/* NULL: empty. */
struct volume_key *key_box_hold(struct key_box *b) WARN_UNUSED;
/* watched_vault_end() of all that somebody still holds. */
void key_box_end(struct key_box *b);

void volume_key_let_go(struct volume_key *k); /* accepts NULL; may block on closing its vault */

static inline const struct key_slot *volume_key_slot(const struct volume_key *k)
{
	return volume_header_active_slot(&k->header);
}

static inline void cleanup_volume_key_(struct volume_key **k)
{
	volume_key_let_go(*k);
}
#define CLEANUP_VOLUME_KEY CLEANUP(cleanup_volume_key_)

/* One more than is in the box: not held by anybody yet. Takes `vault` and `config` over, also when it fails. */
int volume_key_new(const struct volume_header *header, struct watched_vault *vault,
		   const struct settings *settings, struct config *config,
		   struct volume_key **ret_key) WARN_UNUSED;

#endif
