/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locked arena that all secrets live in: pages of equal cells for keys, and
 * a mapping of its own for each longer secret. Knows nothing of what is stored.
 */
#include "tdefs/secret.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define CELL_LEN  ((size_t)128)
#define CHUNK_LEN ((size_t)256 * 1024)
#define PAGE_LEN  ((size_t)4096)

struct secret {
	size_t len;
	union {
		struct secret *next_free; /* while free, in cells only */
		size_t mapping_len;	  /* 0 in cells */
	};
	uint8_t bytes[];
};

/*
 * Guards the free list and the count; innermost, held for a few instructions.
 * Chunks are never given back: they stay locked, wiped and reusable.
 */
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret *arena_free;
static size_t arena_count;
static _Atomic bool arena_unlocked; /* secret_lock_memory(false) */

static void *map_locked(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if ((!atomic_load(&arena_unlocked) && mlock(p, len) < 0) ||
	    madvise(p, len, MADV_DONTDUMP) < 0 || madvise(p, len, MADV_WIPEONFORK) < 0) {
		munmap(p, len);
		return NULL;
	}
	return p;
}

static int arena_grow(void)
{
	uint8_t *chunk = map_locked(CHUNK_LEN);

	if (!chunk)
		return -1;
	for (size_t off = 0; off < CHUNK_LEN; off += CELL_LEN) {
		struct secret *cell = (struct secret *)(void *)(chunk + off);

		cell->next_free = arena_free;
		arena_free = cell;
	}
	return 0;
}

static struct secret *cell_new(size_t len)
{
	struct secret *s;
	LOCK_SCOPE(&arena_lock);

	if (!arena_free && arena_grow() < 0)
		return NULL;
	s = arena_free;
	arena_free = s->next_free;
	s->len = len;
	s->mapping_len = 0;
	arena_count++;
	return s;
}

static struct secret *mapping_new(size_t len)
{
	size_t mapping_len = (sizeof(struct secret) + len + PAGE_LEN - 1) & ~(PAGE_LEN - 1);
	struct secret *s = map_locked(mapping_len);

	if (!s)
		return NULL;
	s->len = len;
	s->mapping_len = mapping_len;
	LOCK_SCOPE(&arena_lock);
	arena_count++;
	return s;
}

struct secret *secret_new(size_t len)
{
	if (len <= CELL_LEN - sizeof(struct secret))
		return cell_new(len);
	if (len > SIZE_MAX - 2 * PAGE_LEN)
		return NULL;
	return mapping_new(len);
}

void secret_free(struct secret *s)
{
	size_t mapping_len;

	if (!s)
		return;
	secret_wipe(s->bytes, s->len);
	mapping_len = s->mapping_len;
	if (mapping_len)
		munmap(s, mapping_len);
	LOCK_SCOPE(&arena_lock);
	arena_count--;
	if (!mapping_len) {
		s->next_free = arena_free;
		arena_free = s;
	}
}

void secret_lock_memory(bool lock)
{
	atomic_store(&arena_unlocked, !lock);
}

uint8_t *secret_bytes(struct secret *s)
{
	return s->bytes;
}

const uint8_t *secret_view(const struct secret *s)
{
	return s->bytes;
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

void secret_wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}

size_t secret_count(void)
{
	LOCK_SCOPE(&arena_lock);
	return arena_count;
}
