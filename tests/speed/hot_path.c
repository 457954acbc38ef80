/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot_path read|write|cipher N: N operations of 8 KiB on one file of a store, or
 * the cipher's part of one, N times. For a counter of instructions (test_counts.py).
 */
#include "../support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/kit.h"
#include "../support/store_kit.h"
#include "tdefs/crypto.h"
#include "tdefs/sector_cipher.h"

#define PAGE  8192u
#define PAGES 64u

static uint8_t page[PAGE];

static void read_page(uint64_t node, uint64_t i)
{
	const uint8_t *data;

	assert_int_equal(store_read(store, node, kit_room(), PAGE, i % PAGES * PAGE, &data), PAGE);
}

static void write_page(uint64_t node, uint64_t i)
{
	assert_int_equal(store_write(store, node, kit_room(), page, PAGE, i % PAGES * PAGE), PAGE);
}

static void with_a_store(void (*operation)(uint64_t node, uint64_t i), uint64_t n)
{
	uint64_t handle;
	struct entry e;

	assert_int_equal(store_kit_setup(NULL), 0);
	e = create(STORE_ROOT_NODE, "table", &handle);
	for (uint64_t i = 0; i < PAGES; i++)
		write_page(e.node, i);
	for (uint64_t i = 0; i < n; i++)
		operation(e.node, i);
	store_release_file(store, handle);
	store_forget(store, e.node, 1);
	assert_int_equal(store_kit_teardown(NULL), 0);
}

/* As for each operation: begun and ended, too. */
static void with_a_cipher(uint64_t n)
{
	struct secret *key = secret_new(XTS_KEY_LEN);

	assert_non_null(key);
	for (size_t i = 0; i < XTS_KEY_LEN; i++)
		secret_bytes(key)[i] = (uint8_t)i;
	for (uint64_t i = 0; i < n; i++) {
		CLEANUP_CIPHER struct sector_cipher c = { 0 };

		assert_int_equal(sector_cipher_begin(&c, key, SECTOR_ENCRYPT), 0);
		assert_int_equal(sector_cipher_run(&c, i % PAGES * PAGE, page, page, PAGE), 0);
	}
	secret_free(key);
}

int main(int argc, char **argv)
{
	uint64_t n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;

	if (argc == 3 && strcmp(argv[1], "read") == 0)
		with_a_store(read_page, n);
	else if (argc == 3 && strcmp(argv[1], "write") == 0)
		with_a_store(write_page, n);
	else if (argc == 3 && strcmp(argv[1], "cipher") == 0)
		with_a_cipher(n);
	else
		return fprintf(stderr, "usage: hot_path read|write|cipher N\n"), 2;
	kit_release();
	return 0;
}
