/* SPDX-License-Identifier: Apache-2.0 */
/* See kit.h. */
#include "kit.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim_disk.h"
#include "test.h"

static struct file_keys *keys;
static struct counters counters;
static struct file_context context;
static _Atomic unsigned events[FILE_EVENT_ABSOLUTE_SYMLINK + 1];
static uint64_t random_state = 1;

static void count_event(void *arg, enum file_event event, uint64_t ino)
{
	(void)arg, (void)ino;
	atomic_fetch_add(&events[event], 1);
}

struct secret *kit_dek(void)
{
	struct secret *dek = secret_new(DEK_LEN);

	assert_non_null(dek);
	for (size_t i = 0; i < DEK_LEN; i++)
		secret_bytes(dek)[i] = (uint8_t)(i * 7 + 1);
	return dek;
}

const struct file_context *kit_context(const struct sysio *sys)
{
	CLEANUP_SECRET struct secret *dek = kit_dek();

	if (!keys) {
		keys = file_keys_new();
		assert_non_null(keys);
		assert_int_equal(file_keys_set(keys, kit_dek()), 0);
	}
	context = (struct file_context){
		.sys = sys, .keys = keys, .counters = &counters, .event = count_event
	};
	memset(context.key_domain_id, 0xd0, sizeof(context.key_domain_id));
	assert_int_equal(dek_id(dek, context.dek_id), 0);
	return &context;
}

unsigned kit_events(enum file_event event)
{
	return atomic_load(&events[event]);
}

void kit_reset_events(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		atomic_store(&events[i], 0);
}

void kit_release(void)
{
	file_keys_free(keys);
	keys = NULL;
}

int kit_teardown(void **state)
{
	(void)state;
	kit_release();
	return secret_count() != 0;
}

struct file *kit_open_sim(void)
{
	struct file *f = NULL;

	assert_int_equal(file_open(kit_context(&sim_sysio), SIM_FD, 1, 0, &f), 0);
	return f;
}

struct file_room kit_room(void)
{
	static _Thread_local uint8_t bytes[KIT_MAX + FILE_ROOM_SLACK];

	return (struct file_room){ bytes, sizeof(bytes) };
}

void kit_write(struct file *f, const uint8_t *data, size_t len, uint64_t off)
{
	assert_int_equal(file_write(f, kit_room(), data, len, off), len);
}

void kit_read(struct file *f, uint8_t *out, size_t len, uint64_t off)
{
	const uint8_t *data = NULL;

	if (len == 0)
		return;
	assert_int_equal(file_read(f, kit_room(), len, off, &data), len);
	memcpy(out, data, len);
}

uint8_t kit_pattern(unsigned seed, uint64_t i)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0x2545f4914f6cdd1du;

	return (uint8_t)(1 + (x >> 32) % 255);
}

void kit_fill(uint8_t *out, size_t len, unsigned seed, uint64_t from)
{
	for (size_t i = 0; i < len; i++)
		out[i] = kit_pattern(seed, from + i);
}

void kit_seed(uint64_t seed)
{
	random_state = seed * 2 + 1;
}

unsigned kit_random(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return below ? (unsigned)((random_state >> 16) % below) : 0;
}

uint64_t kit_announce_seed(const char *what)
{
	const char *given = getenv("TDEFS_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

	printf("%s: TDEFS_TEST_SEED=%" PRIu64 "\n", what, seed);
	kit_seed(seed);
	return seed;
}
