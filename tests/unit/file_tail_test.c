/* SPDX-License-Identifier: Apache-2.0 */
/* Appends that begin or end inside a block: what is kept of the last block, and when no more. */
#include "../support/test.h"

#include <errno.h>
#include <string.h>

#include "../support/kit.h"
#include "../support/sim_disk.h"

static uint8_t a[KIT_MAX], b[KIT_MAX];

static int setup(void **state)
{
	(void)state;
	sim_reset();
	return 0;
}

static void assert_content_after_reopening(struct file *f, size_t size)
{
	file_close(f);
	f = kit_open_sim();
	assert_int_equal(file_size(f), size);
	kit_read(f, b, size, 0);
	assert_memory_equal(b, a, size);
	file_close(f);
}

/* Redo log records, frames of SQLite's write-ahead log, lines of text. */
static void appends_read_nothing_back(void **state)
{
	static const size_t lengths[] = { 24, 4096, 512, 100, 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct file *f;
		size_t size = 0;
		unsigned before;

		sim_reset();
		f = kit_open_sim();
		kit_fill(a, 30000, 3, 0);
		before = sim_reads();
		for (unsigned n = 0; n < 30 && size + 24 + lengths[i] <= 30000; n++) {
			if (lengths[i] == 4096) { /* a page with the frame's header before it */
				kit_write(f, a + size, 24, size);
				size += 24;
			}
			kit_write(f, a + size, lengths[i], size);
			size += lengths[i];
		}
		assert_int_equal(sim_reads(), before);
		assert_content_after_reopening(f, size);
	}
}

static void wipe_keys(struct file *f)
{
	const struct file_context *c = kit_context(&sim_sysio);

	(void)f;
	file_keys_wipe(c->keys);
	assert_int_equal(file_keys_set(c->keys, kit_dek()), 0);
}

static void overwrite_end(struct file *f)
{
	memset(a + 95, 'o', 5);
	kit_write(f, a + 95, 5, 95);
}

static void cut_and_grow(struct file *f)
{
	memset(a + 97, 0, 3);
	assert_int_equal(file_truncate(f, 97), 0);
	assert_int_equal(file_truncate(f, 100), 0);
}

static void punch_end(struct file *f)
{
	memset(a + 98, 0, 2);
	assert_int_equal(file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 98, 100), 0);
}

static void append_in_vain(struct file *f)
{
	sim_fail(1, -ENOSPC, false);
	assert_int_equal(file_write(f, kit_room(), (const uint8_t *)"lost", 4, 100), -ENOSPC);
	assert_true(sim_disarm());
}

/* What was kept of the last block is never more than what the file says. */
static void appends_join_whatever_the_last_block_went_through(void **state)
{
	void (*const ways[])(struct file *) = { wipe_keys, overwrite_end, cut_and_grow, punch_end,
						append_in_vain };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct file *f;

		sim_reset();
		f = kit_open_sim();
		kit_fill(a, 100, 3, 0);
		kit_write(f, a, 100, 0);
		ways[i](f);
		kit_fill(a + 100, 7, 4, 0);
		kit_write(f, a + 100, 7, 100);
		assert_content_after_reopening(f, 107);
	}
}

static void what_is_kept_is_wiped_with_the_keys(void **state)
{
	const struct file_context *c = kit_context(&sim_sysio);
	struct file *f = kit_open_sim();
	const size_t secrets = secret_count();

	(void)state;
	kit_write(f, (const uint8_t *)"secret", 6, 0);
	assert_int_equal(secret_count(), secrets + 2); /* the key and the last block */
	file_keys_wipe(c->keys);
	assert_int_equal(secret_count(), secrets - 1); /* the DEK, too */
	assert_int_equal(file_write(f, kit_room(), (const uint8_t *)"s", 1, 6), -ENOKEY);
	assert_int_equal(file_keys_set(c->keys, kit_dek()), 0);
	kit_write(f, (const uint8_t *)"s", 1, 6);
	memcpy(a, "secrets", 7);
	assert_content_after_reopening(f, 7);
	assert_int_equal(secret_count(), secrets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(appends_read_nothing_back, setup),
		cmocka_unit_test_setup(appends_join_whatever_the_last_block_went_through, setup),
		cmocka_unit_test_setup(what_is_kept_is_wiped_with_the_keys, setup),
	};

	return cmocka_run_group_tests_name("file tail", tests, NULL, kit_teardown);
}
