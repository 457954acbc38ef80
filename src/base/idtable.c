/* SPDX-License-Identifier: Apache-2.0 */
/* A growing array of slots that never move, with a list of free ones. */
#include "tdefs/idtable.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CHUNK_SLOTS 1024
#define CHUNK_MAX   65536

struct slot {
	_Atomic(void *) thing;
	uint64_t generation;
	uint64_t next_free; /* id, 0 ends the list */
};

struct idtable {
	pthread_mutex_t lock; /* guards all but the reading of chunks and things; innermost */
	uint64_t first_free;
	uint64_t limit; /* first id never given out */
	_Atomic(struct slot *) chunks[CHUNK_MAX];
};

struct idtable *idtable_new(void)
{
	struct idtable *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->limit = 1;
	return t;
}

void idtable_free(struct idtable *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < CHUNK_MAX; i++)
		free(t->chunks[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static struct slot *slot_of(const struct idtable *t, uint64_t id)
{
	struct slot *chunk;

	if (id / CHUNK_SLOTS >= CHUNK_MAX)
		return NULL;
	chunk = atomic_load_explicit(&t->chunks[id / CHUNK_SLOTS], memory_order_acquire);
	return chunk ? &chunk[id % CHUNK_SLOTS] : NULL;
}

static int take_new(struct idtable *t, uint64_t *ret_id)
{
	uint64_t id = t->limit, chunk = id / CHUNK_SLOTS;

	if (chunk >= CHUNK_MAX)
		return -ENFILE;
	if (!t->chunks[chunk]) {
		struct slot *slots = calloc(CHUNK_SLOTS, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		atomic_store_explicit(&t->chunks[chunk], slots, memory_order_release);
	}
	t->limit++;
	*ret_id = id;
	return 0;
}

int idtable_add(struct idtable *t, void *thing, uint64_t *ret_id, uint64_t *ret_generation)
{
	struct slot *slot;
	uint64_t id;
	LOCK_SCOPE(&t->lock);

	id = t->first_free;
	if (id)
		t->first_free = slot_of(t, id)->next_free;
	else if (take_new(t, &id) < 0)
		return t->limit / CHUNK_SLOTS >= CHUNK_MAX ? -ENFILE : -ENOMEM;
	slot = slot_of(t, id);
	slot->generation++;
	*ret_generation = slot->generation;
	*ret_id = id;
	atomic_store_explicit(&slot->thing, thing, memory_order_release);
	return 0;
}

void *idtable_get(const struct idtable *t, uint64_t id)
{
	struct slot *slot = slot_of(t, id);

	return slot ? atomic_load_explicit(&slot->thing, memory_order_acquire) : NULL;
}

void idtable_remove(struct idtable *t, uint64_t id)
{
	struct slot *slot = slot_of(t, id);
	LOCK_SCOPE(&t->lock);

	atomic_store_explicit(&slot->thing, NULL, memory_order_relaxed);
	slot->next_free = t->first_free;
	t->first_free = id;
}

uint64_t idtable_limit(struct idtable *t)
{
	LOCK_SCOPE(&t->lock);
	return t->limit;
}
