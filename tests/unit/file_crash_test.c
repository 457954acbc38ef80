/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash leaves. First the process's death between any two system calls
 * of every change of size up to 200; then power cuts, in which any part of what
 * was not synced is lost. The rule is DESIGN.md's: the size is one that was
 * asked for, or a multiple of 16 on the way, at most 15 zero bytes too large.
 */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/kit.h"
#include "../support/sim_disk.h"

#define SMALL 200
/* Sanitizers are slow: they look at a part; the plain build at all. */
#define STRIDE (TDEFS_SANITIZED ? 7 : 1)

/* How a size is reached. */
enum step {
	STEP_TRUNCATE,
	STEP_APPEND,	 /* write [old, new), or nothing when that is empty */
	STEP_REWRITE,	 /* write [0, new) */
	STEP_WRITE_LAST, /* write [new - 1, new): often beyond a gap */
	STEP_ALLOCATE,
	STEP_ZERO_RANGE, /* of [new / 2, new) */
	STEP_MAX,
};

/* Old bytes have seed 1, new ones seed 2. */
static int take_step(struct file *f, enum step step, size_t old, size_t new)
{
	uint8_t bytes[SMALL + 1];
	size_t from = 0;
	ssize_t n;

	if (step == STEP_TRUNCATE)
		return file_truncate(f, new);
	if (new == 0)
		return 0;
	if (step == STEP_ALLOCATE)
		return file_allocate(f, 0, 0, new);
	if (step == STEP_ZERO_RANGE)
		return file_allocate(f, FALLOC_FL_ZERO_RANGE, new / 2, new - new / 2);
	if (step == STEP_APPEND)
		from = old;
	if (step == STEP_WRITE_LAST)
		from = new - 1;
	if (from >= new)
		return 0;
	kit_fill(bytes, new - from, 2, from);
	n = file_write(f, kit_room(), bytes, new - from, from);
	return n < 0 ? (int)n : 0;
}

/*
 * A file of `size` bytes. With `dirty`, what an earlier crash left: bytes after
 * the end, in the last block and in the trailer, that are not zeros.
 */
static void make_file(size_t size, bool dirty)
{
	uint8_t bytes[SMALL + 64];
	struct file *f;

	sim_reset();
	f = kit_open_sim();
	kit_fill(bytes, size + (dirty ? 40 : 0), 1, 0);
	if (size + (dirty ? 40 : 0))
		kit_write(f, bytes, size + (dirty ? 40 : 0), 0);
	file_close(f);
	if (dirty) /* the first half of a shrink */
		assert_int_equal(sim_sysio.ftruncate(SIM_FD, (off_t)file_length_of_size(size)), 0);
}

static void fail_with(const char *what, enum step step, size_t old, size_t new, size_t size,
		      size_t at)
{
	print_error("%s: step %d from %zu to %zu left size %zu (byte %zu)\n", what, step, old, new,
		    size, at);
	fail();
}

static void check_size(enum step step, size_t old, size_t new, size_t size)
{
	size_t low = old < new ? old : new, high = old < new ? new : old;

	if (size == old || size == new)
		return;
	if (size % 16 == 0 && size >= low && size <= high + 15)
		return;
	fail_with("size", step, old, new, size, 0);
}

static void check_bytes(enum step step, size_t old, size_t new, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		bool was = i < old && bytes[i] == kit_pattern(1, i);
		bool is = i < new &&bytes[i] == kit_pattern(2, i) &&
			  step != STEP_TRUNCATE &&step != STEP_ALLOCATE;
		bool zero = bytes[i] == 0 && (i >= old || step == STEP_ZERO_RANGE);

		if (!was && !is && !zero)
			fail_with("content", step, old, new, size, i);
	}
}

/* After the crash: a new process opens the file, and later lets it grow. */
static void check_after_crash(enum step step, size_t old, size_t new)
{
	uint8_t bytes[SMALL + 164];
	struct file *f = kit_open_sim();
	size_t size = file_size(f);

	check_size(step, old, new, size);
	kit_read(f, bytes, size, 0);
	check_bytes(step, old, new, bytes, size);
	assert_int_equal(file_truncate(f, size + 100), 0);
	kit_read(f, bytes, size + 100, 0);
	for (size_t i = size; i < size + 100; i++)
		if (bytes[i] != 0)
			fail_with("what was cut off shows", step, old, new, size, i);
	file_close(f);
}

static void crash_at_every_call(enum step step, size_t old, size_t new, bool dirty)
{
	struct sim_state *before;

	make_file(old, dirty);
	before = sim_save();
	for (unsigned n = 0;; n++) {
		struct file *f;
		bool died;
		int r;

		sim_restore(before);
		f = kit_open_sim();
		sim_stop_after(n);
		r = take_step(f, step, old, new);
		died = sim_disarm();
		if (!died)
			assert_int_equal(r, 0);
		file_close(f);
		check_after_crash(step, old, new);
		if (!died)
			break;
	}
	sim_state_free(before);
}

static void crash_in_any_change_of_size(void **state)
{
	(void)state;
	for (size_t old = 0; old <= SMALL; old += STRIDE)
		for (size_t new = 0; new <= SMALL; new ++)
			crash_at_every_call(STEP_TRUNCATE, old, new, false);
}

static void crash_in_any_append(void **state)
{
	(void)state;
	for (size_t old = 0; old <= SMALL; old += STRIDE)
		for (size_t new = old + 1; new <= SMALL; new ++)
			crash_at_every_call(STEP_APPEND, old, new, false);
}

/* The other ways to a size, and all of them after an earlier crash: each size of a block. */
static void crash_in_any_other_way(void **state)
{
	(void)state;
	for (enum step step = 0; step < STEP_MAX; step++)
		for (size_t old = 0; old <= 52; old += STRIDE)
			for (size_t new = 0; new <= 84; new ++)
				for (int dirty = 0; dirty < 2; dirty++)
					crash_at_every_call(step, old, new, dirty);
}

/*
 * A trailer that would lie in the next page goes first: a process that dies
 * between the two pages of such a write leaves a size that was asked for.
 */
static void crash_between_last_block_and_trailer(void **state)
{
	(void)state;
	for (size_t new = 4081; new <= 4095; new ++) {
		bool died = true;

		for (unsigned n = 0; died; n++) {
			uint8_t bytes[4096];
			struct file *f;

			sim_reset();
			f = kit_open_sim();
			kit_fill(bytes, sizeof(bytes), 1, 0);
			kit_write(f, bytes, 4001, 0);
			sim_stop_after(n);
			IGNORE_RESULT(file_write(f, kit_room(), bytes, new - 4001, 4001),
				      "the process may have died");
			died = sim_disarm();
			file_close(f);
			f = kit_open_sim();
			assert_true(file_size(f) == 4001 || file_size(f) == new);
			file_close(f);
		}
	}
}

/*
 * Power cuts. For each byte we know the values it may have: what was synced,
 * and what was written since. A set is 256 bits.
 */
#define POWER_MAX 20000

struct expectation {
	uint8_t values[POWER_MAX][32];
	size_t sizes[64]; /* synced, and asked for since */
	size_t nsizes;
	bool promised; /* that the file is there and readable */
};

static struct expectation x;
static uint8_t model[POWER_MAX];
static size_t model_size;

static void may_be(size_t i, uint8_t value)
{
	x.values[i][value / 8] |= (uint8_t)(1 << value % 8);
}

static bool can_be(size_t i, uint8_t value)
{
	return x.values[i][value / 8] >> value % 8 & 1;
}

static void expect_synced(void)
{
	memset(x.values, 0, sizeof(x.values));
	for (size_t i = 0; i < POWER_MAX; i++)
		may_be(i, i < model_size ? model[i] : 0);
	x.sizes[0] = model_size;
	x.nsizes = 1;
	x.promised = true;
}

/* The model has changed: what it is now, and zeros where it moved its end, may be found. */
static void expect_change(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		may_be(i, model[i]);
		may_be(i, 0);
	}
	assert_true(x.nsizes < ARRAY_SIZE(x.sizes));
	x.sizes[x.nsizes++] = model_size;
}

static void random_change(struct file *f)
{
	static uint8_t bytes[6000];
	size_t off = kit_random(POWER_MAX - 6000), len = 1 + kit_random(5999), end = off + len;
	size_t old = model_size;

	if (kit_random(3) == 0) /* often near the end, in small pieces */
		off = model_size > 40 ? model_size - kit_random(40) : 0, len = 1 + kit_random(60);
	if (off + len > POWER_MAX)
		off = POWER_MAX - len;
	end = off + len;
	switch (kit_random(4)) {
	case 0:
		assert_int_equal(file_truncate(f, off), 0);
		model_size = off;
		if (off < old)
			memset(model + off, 0, old - off);
		expect_change(off < old ? off : old, off < old ? old : off);
		break;
	case 1:
		assert_int_equal(
			file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len), 0);
		if (end > model_size)
			end = model_size;
		if (off < end) {
			memset(model + off, 0, end - off);
			expect_change(off, end);
		}
		break;
	default:
		kit_fill(bytes, len, kit_random(1000), off);
		kit_write(f, bytes, len, off);
		memcpy(model + off, bytes, len);
		if (end > model_size)
			model_size = end;
		expect_change(off < old ? off : old, end);
	}
}

static bool size_is_allowed(size_t size)
{
	size_t low = SIZE_MAX, high = 0;

	for (size_t i = 0; i < x.nsizes; i++) {
		if (x.sizes[i] == size)
			return true;
		low = x.sizes[i] < low ? x.sizes[i] : low;
		high = x.sizes[i] > high ? x.sizes[i] : high;
	}
	return size % 16 == 0 && size >= low && size <= high + 15;
}

static void check_byte(size_t i, uint8_t byte, size_t size)
{
	if (i < POWER_MAX ? can_be(i, byte) : byte == 0)
		return;
	print_error("byte %zu of %zu is 0x%02x, which it never was\n", i, size, byte);
	fail();
}

/* What is found is what counts from here on: the disk has it. false: the file is refused. */
static bool check_after_power_cut(void)
{
	static uint8_t bytes[POWER_MAX + 16];
	struct file *f = NULL;
	int r = file_open(kit_context(&sim_sysio), SIM_FD, 1, 0, &f);
	size_t size;

	if (r == -EBADMSG && !x.promised)
		return false; /* data arrived, its header did not; it was never synced */
	assert_int_equal(r, 0);
	size = file_size(f);
	if (!size_is_allowed(size)) {
		print_error("size %zu was neither synced nor asked for since\n", size);
		fail();
	}
	kit_read(f, bytes, size, 0);
	for (size_t i = 0; i < size; i++)
		check_byte(i, bytes[i], size);
	file_close(f);
	model_size = size < POWER_MAX ? size : POWER_MAX;
	memset(model, 0, sizeof(model));
	memcpy(model, bytes, model_size);
	return true;
}

/* A file that was just made. */
static struct file *start_afresh(void)
{
	struct file *f = NULL;

	sim_reset();
	memset(model, 0, sizeof(model));
	model_size = 0;
	expect_synced();
	x.promised = false;
	assert_int_equal(file_open(kit_context(&sim_sysio), SIM_FD, 1, FILE_CREATED, &f), 0);
	return f;
}

static struct file *go_on(void)
{
	expect_synced();
	return kit_open_sim();
}

/* Power cut after power cut on one file, so that what one leaves is what the next starts from. */
static void synced_bytes_survive_power_cuts(void **state)
{
	struct file *f;

	(void)state;
	kit_announce_seed("power cuts");
	f = start_afresh();
	for (int round = 0; round < 3000 / STRIDE; round++) {
		for (unsigned changes = 1 + kit_random(10); changes > 0; changes--) {
			random_change(f);
			if (kit_random(3) == 0) {
				assert_int_equal(file_sync(f, kit_random(2)), 0);
				expect_synced();
			}
		}
		file_close(f);
		sim_power_cut(kit_random);
		f = check_after_power_cut() && kit_random(12) ? go_on() : start_afresh();
	}
	file_close(f);
}

/*
 * What a crash left past the end, then a change of the last block (a shrink
 * inside it, or an overwrite of its last byte), then growth, then a power cut
 * that keeps only some of it: no byte is ever noise, or what was cut off before.
 */
static void leave_no_noise(const struct sim_state *before, size_t old, size_t new, bool shrink)
{
	static const uint8_t zeros[16];
	uint8_t bytes[SMALL], last = kit_pattern(1, old - 1);
	struct file *f;

	sim_restore(before);
	/* The trailer reached the disk, the block before it did not. */
	if (!shrink)
		assert_int_equal(sim_sysio.pwrite(SIM_FD, zeros, old % 16,
						  (off_t)(file_length_of_size(old) - old % 16)),
				 old % 16);
	assert_int_equal(sim_sysio.fsync(SIM_FD), 0);
	f = kit_open_sim();
	if (shrink)
		assert_int_equal(file_truncate(f, new), 0);
	else
		kit_write(f, &last, 1, old - 1);
	assert_int_equal(file_truncate(f, 100), 0);
	file_close(f);
	sim_power_cut(kit_random);
	f = kit_open_sim();
	assert_in_range(file_size(f), new, 100);
	kit_read(f, bytes, (size_t)file_size(f), 0);
	for (size_t i = 0; i < file_size(f); i++)
		if (bytes[i] != kit_pattern(1, i) && (i < new || bytes[i]))
			fail_with("noise", STEP_TRUNCATE, old, new, (size_t)file_size(f), i);
		else if (i >= old && bytes[i])
			fail_with("cut off before", STEP_TRUNCATE, old, new, (size_t)file_size(f),
				  i);
	file_close(f);
}

static void what_a_crash_left_never_turns_into_noise(void **state)
{
	(void)state;
	kit_announce_seed("after a crash");
	for (size_t old = 17; old < 64; old += STRIDE) {
		for (size_t new = old / 16 * 16 + 1; new < old; new ++) {
			struct sim_state *before;

			make_file(old, true);
			before = sim_save();
			for (int cut = 0; cut < 24; cut++)
				leave_no_noise(before, old, new, cut % 2);
			sim_state_free(before);
		}
	}
}

/* Synced while it was empty: whatever is written then, a power cut leaves it readable. */
static void a_file_synced_empty_stays_readable(void **state)
{
	unsigned long long refused = 0;

	(void)state;
	kit_announce_seed("synced empty");
	/* Until one that was not synced is refused, too: or the synced ones prove nothing. */
	for (int round = 0; round < 600 / STRIDE || refused == 0; round++) {
		struct file *f = start_afresh();
		enum file_verdict verdict;
		bool synced = round % 2;

		assert_in_range(round, 0, 10000);
		if (synced)
			assert_int_equal(file_sync(f, true), 0);
		random_change(f);
		random_change(f);
		file_close(f);
		sim_power_cut(kit_random);
		assert_int_equal(file_check(kit_context(&sim_sysio), SIM_FD, &verdict), 0);
		if (synced)
			assert_true(file_verdict_is_good(verdict) || verdict == FILE_BAD_RECORD);
		refused += verdict == FILE_NO_HEADER;
	}
}

/* What an fsync acknowledged was on its way to the disk before: no write after the last sync. */
static void every_acknowledged_sync_follows_the_last_write(void **state)
{
	struct file *f = start_afresh();

	(void)state;
	kit_announce_seed("sync order");
	for (int i = 0; i < 2000; i++) {
		x.nsizes = 0;
		random_change(f);
		if (kit_random(2)) {
			unsigned syncs = sim_syncs();

			assert_int_equal(file_sync(f, kit_random(2)), 0);
			assert_int_equal(sim_syncs(), syncs + 1);
			assert_int_equal(sim_changes_at_sync(), sim_changes());
		}
	}
	file_close(f);
}

static int setup(void **state)
{
	(void)state;
	sim_reset();
	return 0;
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
		cmocka_unit_test_setup(crash_in_any_change_of_size, setup),
		cmocka_unit_test_setup(crash_in_any_append, setup),
		cmocka_unit_test_setup(crash_in_any_other_way, setup),
		cmocka_unit_test_setup(crash_between_last_block_and_trailer, setup),
		cmocka_unit_test_setup(synced_bytes_survive_power_cuts, setup),
		cmocka_unit_test_setup(what_a_crash_left_never_turns_into_noise, setup),
		cmocka_unit_test_setup(a_file_synced_empty_stays_readable, setup),
		cmocka_unit_test_setup(every_acknowledged_sync_follows_the_last_write, setup),
	};

	return cmocka_run_group_tests_name("file crash", tests, NULL, teardown);
}
