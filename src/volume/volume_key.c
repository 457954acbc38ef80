/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "volume_key.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct key_box {
	pthread_mutex_t lock; /* guards what follows, and who holds a key; held for no call */
	struct volume_key *current, *alive;
};

int volume_key_new(const struct volume_header *header, struct watched_vault *vault,
		   const struct settings *settings, struct config *config,
		   struct volume_key **ret_key)
{
	struct volume_key *k = calloc(1, sizeof(*k));

	if (!k) {
		watched_vault_close(vault);
		config_free(config);
		return -ENOMEM;
	}
	k->header = *header;
	k->vault = vault;
	k->settings = settings;
	k->config = config;
	*ret_key = k;
	return 0;
}

struct key_box *key_box_new(void)
{
	struct key_box *b = calloc(1, sizeof(*b));

	if (b)
		pthread_mutex_init(&b->lock, NULL);
	return b;
}

void key_box_free(struct key_box *b)
{
	if (!b)
		return;
	volume_key_let_go(b->current);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void key_box_put(struct key_box *b, struct volume_key *k)
{
	struct volume_key *was;

	{
		LOCK_SCOPE(&b->lock);
		was = b->current;
		k->box = b;
		k->holders = 1;
		k->next = b->alive;
		b->alive = b->current = k;
	}
	volume_key_let_go(was);
}

struct volume_key *key_box_hold(struct key_box *b)
{
	LOCK_SCOPE(&b->lock);
	if (b->current)
		b->current->holders++;
	return b->current;
}

/* True: nobody else holds it. */
static bool was_last(struct volume_key *k)
{
	struct volume_key **at = &k->box->alive;
	LOCK_SCOPE(&k->box->lock);

	if (--k->holders > 0)
		return false;
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	return true;
}

void volume_key_let_go(struct volume_key *k)
{
	if (!k || (k->box && !was_last(k)))
		return;
	watched_vault_close(k->vault);
	config_free(k->config);
	free(k);
}

void key_box_end(struct key_box *b)
{
	LOCK_SCOPE(&b->lock);

	for (const struct volume_key *k = b->alive; k; k = k->next)
		watched_vault_end(k->vault);
}
