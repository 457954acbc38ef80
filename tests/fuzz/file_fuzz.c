/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backing files of any bytes: a good file of the simulated disk is edited (a
 * 16-bit offset, a length, so many bytes; again), then cut to a length, opened
 * and used as a file is. Refused or served, and what is written is read back.
 */
#include <assert.h>
#include <string.h>

#include "../support/test.h"

#include "../support/kit.h"
#include "../support/sim_disk.h"
#include "fuzz.h"

#define GOOD_SIZE 9001
#define IMAGE_MAX 65536

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t good[IMAGE_MAX];
static size_t good_len;

static unsigned take(struct input *in, unsigned nbytes)
{
	unsigned value = 0;

	for (; nbytes > 0 && in->left > 0; nbytes--, in->left--)
		value = value << 8 | *in->data++;
	return value;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static uint8_t text[GOOD_SIZE];
	const uint8_t *bytes;
	struct file *f;

	(void)argc, (void)argv;
	sim_reset();
	f = kit_open_sim();
	kit_fill(text, sizeof(text), 1, 0);
	kit_write(f, text, sizeof(text), 0);
	assert(file_sync(f, false) == 0);
	file_close(f);
	bytes = sim_bytes(&good_len);
	assert(good_len <= sizeof(good));
	memcpy(good, bytes, good_len);
	return 0;
}

/* The image that the input asks for; its length. */
static size_t edit(struct input *in, uint8_t image[static IMAGE_MAX])
{
	unsigned cut = take(in, 2);
	size_t len = cut % 3 ? good_len : cut;

	memset(image, 0, IMAGE_MAX);
	memcpy(image, good, good_len);
	for (unsigned edits = take(in, 1) % 16; edits > 0; edits--) {
		size_t off = take(in, 2);
		size_t n = take(in, 1);

		for (size_t i = 0; i < n && off + i < IMAGE_MAX; i++)
			image[off + i] = (uint8_t)take(in, 1);
	}
	return len;
}

static void read_all(struct file *f)
{
	uint64_t size = file_size(f);

	for (uint64_t off = 0; off < size; off += KIT_MAX / 2) {
		const uint8_t *bytes;

		if (file_read(f, kit_room(), KIT_MAX / 2, off, &bytes) < 0)
			return;
	}
}

static void write_and_read_back(struct file *f, struct input *in)
{
	uint8_t text[4200], back[sizeof(text)];
	uint64_t off = take(in, 2);
	size_t len = 1 + take(in, 2) % sizeof(text);

	kit_fill(text, len, 2, off);
	if (file_write(f, kit_room(), text, len, off) < 0)
		return;
	assert(file_size(f) >= off + len);
	kit_read(f, back, len, off);
	assert(memcmp(text, back, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[IMAGE_MAX];
	struct input in = { data, size };
	size_t len = edit(&in, image);
	enum file_verdict verdict;
	struct file *f = NULL;

	sim_reset();
	sim_set(image, len);
	if (file_check(kit_context(&sim_sysio), SIM_FD, &verdict) < 0)
		return 0;
	if (file_open(kit_context(&sim_sysio), SIM_FD, 1, 0, &f) < 0)
		return 0;
	assert(file_size(f) <= len);
	read_all(f);
	write_and_read_back(f, &in);
	if (file_truncate(f, take(&in, 2)) == 0 && file_sync(f, true) == 0)
		write_and_read_back(f, &in);
	file_close(f);
	return 0;
}
