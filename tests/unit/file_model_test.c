/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sequences of every operation on an encrypted file, against a plain
 * array of bytes, on the real file system, with reopening in between. Both must
 * agree after each.
 */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/kit.h"
#include "../support/temporary.h"

#define MOST  40000
#define STEPS 150000

static uint8_t model[MOST + KIT_MAX];
static size_t model_size;

static struct file *open_at(int fd)
{
	struct file *f = NULL;
	int copy = dup(fd);

	assert_true(copy >= 0);
	assert_int_equal(file_open(kit_context(&sysio_kernel), copy, 1, 0, &f), 0);
	return f;
}

/* Offsets and lengths that favour edges: of blocks, of sectors, of the end. */
static size_t random_offset(void)
{
	switch (kit_random(4)) {
	case 0:
		return kit_random(MOST);
	case 1:
		return kit_random(MOST / 4096) * 4096 + kit_random(33);
	case 2:
		return model_size > 20 ? model_size - 20 + kit_random(40) : kit_random(40);
	default:
		return kit_random(MOST / 16) * 16;
	}
}

static size_t random_length(size_t off)
{
	size_t most = off < MOST ? MOST - off : 1;
	size_t len = kit_random(3) == 0 ? 1 + kit_random(9000) : 1 + kit_random(40);

	return len < most ? len : most;
}

static void set_size(size_t size)
{
	if (size > model_size)
		memset(model + model_size, 0, size - model_size);
	model_size = size;
}

static void step_write(struct file *f)
{
	static uint8_t bytes[KIT_MAX];
	size_t off = random_offset(), len = random_length(off);

	kit_fill(bytes, len, kit_random(1000000), off);
	if (kit_random(8) == 0)
		memset(bytes, 0, len);
	kit_write(f, bytes, len, off);
	if (off + len > model_size)
		set_size(off + len);
	memcpy(model + off, bytes, len);
}

static void step_truncate(struct file *f)
{
	size_t size = random_offset();

	assert_int_equal(file_truncate(f, size), 0);
	set_size(size);
}

static void step_allocate(struct file *f)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	size_t off = random_offset(), len = random_length(off), end = off + len;
	int mode = modes[kit_random(ARRAY_SIZE(modes))];

	assert_int_equal(file_allocate(f, mode, off, len), 0);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > model_size)
		set_size(end);
	if (end > model_size)
		end = model_size;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) && off < end)
		memset(model + off, 0, end - off);
}

static void step_read(struct file *f)
{
	size_t off = random_offset(), len = random_length(off);
	size_t expect = off < model_size ? model_size - off : 0;
	const uint8_t *data = NULL;
	ssize_t n = file_read(f, kit_room(), len, off, &data);

	assert_int_equal(n, expect < len ? expect : len);
	if (n > 0)
		assert_memory_equal(data, model + off, (size_t)n);
}

/* Data extents must cover every byte that is not zero. */
static void step_seek(struct file *f)
{
	off_t at = 0;

	while ((size_t)at < model_size) {
		off_t data = file_seek(f, (uint64_t)at, SEEK_DATA, true), hole;
		size_t until = data < 0 ? model_size : (size_t)data;

		assert_true(data >= at || data == -ENXIO);
		for (size_t i = (size_t)at; i < until; i++)
			assert_int_equal(model[i], 0);
		if (data < 0)
			return;
		hole = file_seek(f, (uint64_t)data, SEEK_HOLE, true);
		assert_true(hole > data && (size_t)hole <= model_size);
		at = hole;
	}
}

static struct file *random_step(struct file *f, int fd)
{
	switch (kit_random(10)) {
	case 0:
		step_truncate(f);
		break;
	case 1:
	case 2:
		step_allocate(f);
		break;
	case 3:
	case 4:
	case 5:
		step_write(f);
		break;
	case 6:
		if (kit_random(4) == 0) {
			file_close(f);
			f = open_at(fd);
		}
		break;
	case 7:
		if (kit_random(16) == 0)
			assert_int_equal(file_sync(f, kit_random(2)), 0);
		step_seek(f);
		break;
	default:
		step_read(f);
	}
	return f;
}

static void check_all(struct file *f)
{
	static uint8_t bytes[MOST + KIT_MAX];

	assert_int_equal(file_size(f), model_size);
	kit_read(f, bytes, model_size, 0);
	assert_memory_equal(bytes, model, model_size);
}

static void random_operations_agree_with_a_plain_file(void **state)
{
	int fd = temporary_file();
	struct file *f;

	(void)state;
	assert_true(fd >= 0);
	kit_announce_seed("model");
	f = open_at(fd);
	for (int i = 0; i < STEPS; i++) {
		f = random_step(f, fd);
		if (i % 16 == 0)
			check_all(f);
	}
	check_all(f);
	file_close(f);
	close(fd);
}

static int teardown(void **state)
{
	(void)state;
	kit_release();
	return secret_count() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_a_plain_file),
	};

	return cmocka_run_group_tests_name("file model", tests, NULL, teardown);
}
