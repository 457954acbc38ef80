/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault loops: fail the first, the second, the third ... backing call of each
 * operation, once and for ever, until a run meets no fault. After each: the
 * errno is the one that was met, every block is old or new, a new process sees
 * the same, and no secret leaks.
 */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../support/kit.h"
#include "../support/sim_disk.h"

#define OLD_SEED 1
#define NEW_SEED 2
#define MOST	 20000

/* One operation on a file of `size` bytes with pattern OLD_SEED. */
struct operation {
	const char *name;
	size_t size;
	int (*run)(struct file *f);
	size_t new_size;	/* when it succeeds */
	size_t from, to;	/* where bytes may be NEW_SEED's, or zeros */
	bool size_may_round_up; /* a shrink that fails half-way */
	bool dirty_tail;	/* start from what a crash left */
	bool error_is_held;	/* a later sync repeats it */
};

static int write_range(struct file *f, size_t off, size_t len)
{
	static uint8_t bytes[MOST];
	ssize_t n;

	kit_fill(bytes, len, NEW_SEED, off);
	n = file_write(f, kit_room(), bytes, len, off);
	return n < 0 ? (int)n : 0;
}

static int create(struct file *f)
{
	return write_range(f, 0, 100);
}

static int overwrite_sectors(struct file *f)
{
	return write_range(f, 4096, 8192);
}

static int overwrite_pieces(struct file *f)
{
	return write_range(f, 4090, 4105);
}

static int append_in_block(struct file *f)
{
	return write_range(f, 101, 3);
}

static int append_to_block_end(struct file *f)
{
	return write_range(f, 101, 11);
}

static int append_far(struct file *f)
{
	return write_range(f, 101, 9000);
}

static int append_with_trailer_in_next_sector(struct file *f)
{
	return write_range(f, 4000, 90);
}

static int write_beyond_gap(struct file *f)
{
	return write_range(f, 15000, 10);
}

static int truncate_up(struct file *f)
{
	return file_truncate(f, 9001);
}

static int truncate_to_block_end(struct file *f)
{
	return file_truncate(f, 112);
}

static int truncate_down(struct file *f)
{
	return file_truncate(f, 4101);
}

static int truncate_down_in_block(struct file *f)
{
	return file_truncate(f, 98);
}

static int truncate_to_nothing(struct file *f)
{
	return file_truncate(f, 0);
}

static int punch(struct file *f)
{
	return file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4090, 8205);
}

static int zero_and_grow(struct file *f)
{
	return file_allocate(f, FALLOC_FL_ZERO_RANGE, 50, 9000);
}

static int allocate_and_grow(struct file *f)
{
	return file_allocate(f, 0, 0, 9001);
}

static int sync_data(struct file *f)
{
	return file_sync(f, true);
}

static const struct operation operations[] = {
	{ .name = "create",
	  .size = 0,
	  .run = create,
	  .new_size = 100,
	  .to = 100,
	  .error_is_held = true },
	{ .name = "overwrite sectors",
	  .size = 13001,
	  .run = overwrite_sectors,
	  .new_size = 13001,
	  .from = 4096,
	  .to = 12288 },
	{ .name = "overwrite pieces",
	  .size = 13001,
	  .run = overwrite_pieces,
	  .new_size = 13001,
	  .from = 4090,
	  .to = 8195 },
	{ .name = "append in block",
	  .size = 101,
	  .run = append_in_block,
	  .new_size = 104,
	  .from = 101,
	  .to = 104 },
	{ .name = "append to block end",
	  .size = 101,
	  .run = append_to_block_end,
	  .new_size = 112,
	  .from = 101,
	  .to = 112 },
	{ .name = "append far",
	  .size = 101,
	  .run = append_far,
	  .new_size = 9101,
	  .from = 101,
	  .to = 9101 },
	{ .name = "append, trailer in next sector",
	  .size = 4000,
	  .run = append_with_trailer_in_next_sector,
	  .new_size = 4090,
	  .from = 4000,
	  .to = 4090 },
	{ .name = "write beyond gap",
	  .size = 101,
	  .run = write_beyond_gap,
	  .new_size = 15010,
	  .from = 101,
	  .to = 15010 },
	{ .name = "append after a crash",
	  .size = 101,
	  .run = append_far,
	  .new_size = 9101,
	  .from = 101,
	  .to = 9101,
	  .dirty_tail = true,
	  .error_is_held = true },
	{ .name = "truncate up",
	  .size = 101,
	  .run = truncate_up,
	  .new_size = 9001,
	  .from = 101,
	  .to = 9001 },
	{ .name = "truncate up after a crash",
	  .size = 101,
	  .run = truncate_up,
	  .new_size = 9001,
	  .from = 101,
	  .to = 9001,
	  .dirty_tail = true,
	  .error_is_held = true },
	{ .name = "truncate to block end",
	  .size = 101,
	  .run = truncate_to_block_end,
	  .new_size = 112,
	  .from = 101,
	  .to = 112 },
	{ .name = "truncate down",
	  .size = 13001,
	  .run = truncate_down,
	  .new_size = 4101,
	  .size_may_round_up = true },
	{ .name = "truncate down in block",
	  .size = 101,
	  .run = truncate_down_in_block,
	  .new_size = 98,
	  .size_may_round_up = true },
	{ .name = "truncate down in block after a crash",
	  .size = 101,
	  .run = truncate_down_in_block,
	  .new_size = 98,
	  .size_may_round_up = true,
	  .dirty_tail = true,
	  .error_is_held = true },
	{ .name = "truncate to nothing", .size = 101, .run = truncate_to_nothing, .new_size = 0 },
	{ .name = "punch",
	  .size = 13001,
	  .run = punch,
	  .new_size = 13001,
	  .from = 4090,
	  .to = 12295 },
	{ .name = "zero and grow",
	  .size = 101,
	  .run = zero_and_grow,
	  .new_size = 9050,
	  .from = 50,
	  .to = 9050 },
	{ .name = "allocate and grow",
	  .size = 101,
	  .run = allocate_and_grow,
	  .new_size = 9001,
	  .from = 101,
	  .to = 9001 },
	{ .name = "sync", .size = 101, .run = sync_data, .new_size = 101, .error_is_held = true },
};

static void make_file(const struct operation *o)
{
	static uint8_t bytes[MOST];
	size_t size = o->size + (o->dirty_tail ? 40 : 0);
	struct file *f;

	sim_reset();
	f = kit_open_sim();
	kit_fill(bytes, size, OLD_SEED, 0);
	if (size)
		kit_write(f, bytes, size, 0);
	file_close(f);
	if (o->dirty_tail)
		assert_int_equal(sim_sysio.ftruncate(SIM_FD, (off_t)file_length_of_size(o->size)),
				 0);
}

static bool byte_is_right(const struct operation *o, size_t i, uint8_t byte)
{
	bool touched = i >= o->from && i < o->to;

	if (i < o->size && byte == kit_pattern(OLD_SEED, i))
		return true;
	return touched && (byte == 0 || byte == kit_pattern(NEW_SEED, i));
}

static void check(const struct operation *o, struct file *f, bool failed, const char *when)
{
	static uint8_t bytes[MOST];
	size_t size = file_size(f);
	bool good = size == o->new_size || (failed && size == o->size);

	if (failed && o->size_may_round_up && size % 16 == 0 && size > o->new_size &&
	    size < o->new_size + 16)
		good = true;
	if (!good) {
		print_error("%s, %s: size %zu\n", o->name, when, size);
		fail();
	}
	kit_read(f, bytes, size, 0);
	for (size_t i = 0; i < size; i++) {
		if (byte_is_right(o, i, bytes[i]))
			continue;
		print_error("%s, %s: byte %zu is neither old nor new\n", o->name, when, i);
		fail();
	}
}

/* Once more without faults: what failed left the file usable. */
static void check_usable(const struct operation *o, struct file *f)
{
	static uint8_t bytes[MOST], read[MOST];
	size_t size = file_size(f);

	kit_read(f, bytes, size, 0);
	assert_int_equal(file_truncate(f, size + 50), 0);
	memset(bytes + size, 0, 50);
	kit_read(f, read, size + 50, 0);
	if (memcmp(bytes, read, size + 50) != 0) {
		print_error("%s: growing after a failure shows what was not there\n", o->name);
		fail();
	}
}

/* How a run goes on after the fault. */
enum after { SAME_PROCESS, NEW_PROCESS, AFTER_MAX };

/* false: the run met no fault. */
static bool run_with_fault(const struct operation *o, unsigned n, int error, bool for_ever,
			   enum after after)
{
	size_t secrets;
	struct file *f;
	bool hit;
	int r;

	make_file(o);
	f = kit_open_sim();
	secrets = secret_count();
	sim_fail(n, error, for_ever);
	r = o->run(f);
	hit = sim_disarm();
	if (hit)
		assert_int_equal(r, error);
	else
		assert_int_equal(r, 0);
	check(o, f, hit, "same process");
	if (hit && !o->error_is_held)
		assert_int_equal(file_sync(f, true), 0);
	assert_true(secret_count() <= secrets + 2); /* a header may have been made, the tail kept */
	if (after == NEW_PROCESS) {
		file_close(f);
		f = kit_open_sim();
		check(o, f, hit, "new process");
	}
	check_usable(o, f);
	file_close(f);
	return hit;
}

static void every_backing_call_may_fail(void **state)
{
	static const int errors[] = { -EIO, -ENOSPC };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
			for (int way = 0; way < 2 * AFTER_MAX; way++) {
				unsigned n = 1;

				while (run_with_fault(&operations[i], n, errors[e], way % 2,
						      (enum after)(way / 2)))
					n++;
				assert_true(n > 1); /* what calls nothing tests nothing */
			}
		}
	}
}

/*
 * Cleaning up after a crash syncs on its own; should that fail, the kernel has
 * reported it once, and nobody's fsync would ever hear of it.
 */
static void failed_sync_of_ours_is_held_for_the_next_fsync(void **state)
{
	const struct operation *o = NULL;
	unsigned held = 0;
	bool hit = true;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, "append after a crash") == 0)
			o = &operations[i];
	assert_non_null(o);
	for (unsigned n = 1; hit; n++) {
		struct file *f;

		make_file(o);
		f = kit_open_sim();
		sim_fail(n, -EIO, false);
		IGNORE_RESULT(o->run(f), "checked elsewhere");
		hit = sim_disarm();
		held += file_sync(f, true) == -EIO;
		file_close(f);
	}
	assert_int_equal(held, 1);
}

static void reads_may_fail(void **state)
{
	const uint8_t *data;
	struct file *f;

	(void)state;
	make_file(&operations[1]);
	f = kit_open_sim();
	sim_fail(1, -EIO, false);
	assert_int_equal(file_read(f, kit_room(), 5000, 100, &data), -EIO);
	assert_true(sim_disarm());
	assert_int_equal(file_read(f, kit_room(), 5000, 100, &data), 5000);
	sim_fail(1, -EIO, false);
	assert_int_equal(file_seek(f, 0, SEEK_HOLE, true), -EIO);
	sim_disarm();
	file_close(f);
}

static void opening_may_fail(void **state)
{
	static const unsigned flags[] = { 0, FILE_DISCARD };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		bool hit = true;

		for (unsigned n = 1; hit; n++) {
			size_t secrets;
			struct file *f = NULL;
			int r;

			make_file(&operations[1]);
			kit_context(&sim_sysio);
			secrets = secret_count();
			sim_fail(n, -EIO, false);
			r = file_open(kit_context(&sim_sysio), SIM_FD, 1, flags[i], &f);
			hit = sim_disarm();
			assert_int_equal(r, hit ? -EIO : 0);
			file_close(f);
			assert_int_equal(secret_count(), secrets);
		}
	}
}

static void checking_may_fail(void **state)
{
	enum file_verdict verdict;
	bool hit = true;

	(void)state;
	make_file(&operations[1]);
	for (unsigned n = 1; hit; n++) {
		int r;

		sim_fail(n, -EIO, false);
		r = file_check(kit_context(&sim_sysio), SIM_FD, &verdict);
		hit = sim_disarm();
		assert_int_equal(r, hit ? -EIO : 0);
	}
	assert_int_equal(verdict, FILE_GOOD);
	sim_reset();
	assert_int_equal(sim_sysio.ftruncate(SIM_FD, 20000), 0);
	hit = true;
	for (unsigned n = 1; hit; n++) { /* once more, where data is looked for */
		int r;

		sim_fail(n, -EIO, false);
		r = file_check(kit_context(&sim_sysio), SIM_FD, &verdict);
		hit = sim_disarm();
		assert_int_equal(r, hit ? -EIO : 0);
	}
	assert_int_equal(verdict, FILE_HOLES_ONLY);
}

/* A repair that cannot be written is no reason to refuse the file. */
static void failed_repair_still_opens(void **state)
{
	static uint8_t copy[1 << 17];
	const uint8_t *bytes;
	struct file *f = NULL;
	size_t len;

	(void)state;
	make_file(&operations[1]);
	bytes = sim_bytes(&len);
	memcpy(copy, bytes, len);
	copy[100] ^= 1;
	sim_set(copy, len);
	sim_stop_after(0);
	assert_int_equal(file_open(kit_context(&sim_sysio), SIM_FD, 1, 0, &f), 0);
	assert_true(sim_disarm());
	check(&operations[1], f, true, "unrepaired");
	file_close(f);
}

static int teardown(void **state)
{
	(void)state;
	sim_reset();
	kit_release();
	return secret_count() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_backing_call_may_fail),
		cmocka_unit_test(failed_sync_of_ours_is_held_for_the_next_fsync),
		cmocka_unit_test(reads_may_fail),
		cmocka_unit_test(opening_may_fail),
		cmocka_unit_test(checking_may_fail),
		cmocka_unit_test(failed_repair_still_opens),
	};

	return cmocka_run_group_tests_name("file faults", tests, NULL, teardown);
}
