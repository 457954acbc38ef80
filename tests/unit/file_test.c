/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted files: contents, sizes, holes, headers, errors that are held. */
#include "../support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../support/kit.h"
#include "../support/sim_disk.h"
#include "tdefs/bytes.h"
#include "tdefs/file_header.h"

static uint8_t a[KIT_MAX], b[KIT_MAX];

static int setup(void **state)
{
	(void)state;
	sim_reset();
	kit_reset_events();
	return 0;
}

static struct file *new_file(size_t size, unsigned seed)
{
	struct file *f = kit_open_sim();

	kit_fill(a, size, seed, 0);
	if (size)
		kit_write(f, a, size, 0);
	return f;
}

static struct file *reopen(struct file *f)
{
	file_close(f);
	return kit_open_sim();
}

static void assert_content(struct file *f, const uint8_t *expect, size_t size)
{
	assert_int_equal(file_size(f), size);
	kit_read(f, b, size, 0);
	assert_memory_equal(b, expect, size);
}

static void empty_file_has_no_bytes_on_disk(void **state)
{
	struct file *f = kit_open_sim();
	const uint8_t *data;
	size_t len;

	(void)state;
	assert_int_equal(file_size(f), 0);
	assert_int_equal(file_read(f, kit_room(), 10, 0, &data), 0);
	sim_bytes(&len);
	assert_int_equal(len, 0);
	file_close(f);
}

/* Every size around the edges of blocks and sectors, written at once and byte by byte. */
static void what_is_written_is_read(void **state)
{
	static const size_t sizes[] = { 1,    15,   16,	  17,	31,   32,   33,	  511,	512, 513,
					4079, 4080, 4081, 4095, 4096, 4097, 8191, 8192, 8193 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct file *f;
		size_t len;

		sim_reset();
		f = new_file(sizes[i], 1);
		assert_content(f, a, sizes[i]);
		f = reopen(f);
		assert_content(f, a, sizes[i]);
		sim_bytes(&len);
		assert_int_equal(len, file_length_of_size(sizes[i]));
		file_close(f);
	}
}

static void appends_of_every_length_join(void **state)
{
	struct file *f = kit_open_sim();
	size_t size = 0;

	(void)state;
	kit_fill(a, sizeof(a), 2, 0);
	for (size_t len = 1; size + len < 20000; len = len % 67 + 1) {
		kit_write(f, a + size, len, size);
		size += len;
		if (len % 7 == 0)
			f = reopen(f);
	}
	assert_content(f, a, size);
	file_close(f);
}

static void rmw_keeps_rest_of_sector(void **state)
{
	struct file *f = new_file(9000, 3);

	(void)state;
	for (size_t off = 0; off < 64; off++) {
		for (size_t len = 1; len < 48; len++) {
			kit_fill(a + 4080 + off, len, (unsigned)(off + len), 0);
			kit_write(f, a + 4080 + off, len, 4080 + off);
		}
	}
	assert_content(f, a, 9000);
	f = reopen(f);
	assert_content(f, a, 9000);
	file_close(f);
}

static void plaintext_is_not_on_disk(void **state)
{
	struct file *f = new_file(10000, 4);
	size_t len;
	const uint8_t *disk;

	(void)state;
	memset(a + 100, 0, 4000); /* zeros that were written are encrypted, too */
	kit_write(f, a, 10000, 0);
	disk = sim_bytes(&len);
	for (size_t at = 0; at + 16 <= len; at++)
		assert_null(memmem(a, 100, disk + at, 16));
	for (size_t at = FILE_HEADER_LEN; at + 16 <= FILE_HEADER_LEN + 10000; at += 16)
		assert_false(bytes_all_zero(disk + at, 16));
	file_close(f);
}

static void gap_before_a_write_is_a_hole_of_zeros(void **state)
{
	struct file *f = new_file(5, 5);

	(void)state;
	kit_write(f, (const uint8_t *)"end", 3, 20000);
	memset(a + 5, 0, 20000 - 5);
	memcpy(a + 20000, "end", 3);
	assert_content(f, a, 20003);
	f = reopen(f);
	assert_content(f, a, 20003);
	assert_int_equal(file_seek(f, 8192, SEEK_DATA, true), 16384);
	assert_int_equal(file_seek(f, 0, SEEK_HOLE, true), 4096);
	assert_int_equal(file_seek(f, 16384, SEEK_HOLE, true), 20003);
	assert_int_equal(file_seek(f, 8192, SEEK_DATA, false), 8192);
	assert_int_equal(file_seek(f, 8192, SEEK_HOLE, false), 20003);
	assert_int_equal(file_seek(f, 20003, SEEK_DATA, true), -ENXIO);
	assert_int_equal(file_seek(f, 0, SEEK_CUR, true), -EINVAL);
	file_close(f);
}

static void truncated_up_reads_zeros_and_writes_no_data(void **state)
{
	struct file *f = kit_open_sim();

	(void)state;
	assert_int_equal(file_truncate(f, 50000), 0);
	memset(a, 0, 50000);
	assert_content(f, a, 50000);
	assert_int_equal(file_seek(f, 0, SEEK_DATA, true), -ENXIO);
	f = reopen(f);
	assert_content(f, a, 50000);
	kit_write(f, (const uint8_t *)"x", 1, 49999);
	a[49999] = 'x';
	assert_content(f, a, 50000);
	file_close(f);
}

/* Shrink, then grow: what was cut off never comes back. */
static void regrown_bytes_are_zero(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < 60; cut++) {
		for (size_t grown = cut + 1; grown < 80; grown += 3) {
			struct file *f;

			sim_reset();
			f = new_file(70, 6);
			assert_int_equal(file_truncate(f, cut), 0);
			if (grown % 2)
				f = reopen(f);
			assert_int_equal(file_truncate(f, grown), 0);
			memset(a + cut, 0, grown - cut);
			assert_content(f, a, grown);
			file_close(f);
		}
	}
}

static void punch_and_zero_clear_exactly_their_range(void **state)
{
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE };

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		for (size_t off = 4070; off < 4110; off++) {
			for (size_t len = 1; len < 5000; len = len * 2 + 1) {
				size_t end = off + len < 9001 ? off + len : 9001;
				struct file *f;

				sim_reset();
				f = new_file(9001, 7);
				assert_int_equal(file_allocate(f, modes[m], off, len), 0);
				memset(a + off, 0, end - off);
				if (modes[m] == FALLOC_FL_ZERO_RANGE && off + len > 9001) {
					memset(a + 9001, 0, off + len - 9001);
					end = off + len;
				}
				assert_content(f, a, end > 9001 ? end : 9001);
				f = reopen(f);
				assert_content(f, a, end > 9001 ? end : 9001);
				file_close(f);
			}
		}
	}
}

static void punch_at_the_tail_stays_in_the_file(void **state)
{
	struct file *f = new_file(4099, 8);
	size_t len;

	(void)state;
	assert_int_equal(
		file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4090, 1 << 20), 0);
	memset(a + 4090, 0, 9);
	assert_content(f, a, 4099);
	sim_bytes(&len);
	assert_int_equal(len, file_length_of_size(4099));
	assert_int_equal(file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 10), 0);
	assert_content(f, a, 4099);
	file_close(f);
}

static void allocation_grows_unless_told_to_keep(void **state)
{
	struct file *f = new_file(10, 9);

	(void)state;
	assert_int_equal(file_allocate(f, FALLOC_FL_KEEP_SIZE, 0, 30000), 0);
	assert_int_equal(file_size(f), 10);
	assert_int_equal(file_allocate(f, 0, 5, 100), 0);
	memset(a + 10, 0, 95);
	assert_content(f, a, 105);
	assert_int_equal(file_allocate(f, 0, 0, 50), 0);
	assert_content(f, a, 105);
	assert_int_equal(file_allocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, 16), -EOPNOTSUPP);
	assert_int_equal(file_allocate(f, FALLOC_FL_PUNCH_HOLE, 0, 16), -EOPNOTSUPP);
	assert_int_equal(file_allocate(f, 0, 0, 0), -EINVAL);
	assert_int_equal(file_allocate(f, 0, 1, UINT64_MAX), -EFBIG);
	assert_int_equal(file_allocate(f, 0, INT64_MAX, 10), -EFBIG);
	file_close(f);
}

/* Growing to a multiple of 16 inside the last block shortens the backing file. */
/* What fails leaves the old size, on disk too. */
static void growth_that_fails_is_taken_back(void **state)
{
	struct file *f = new_file(5, 11);

	(void)state;
	assert_int_equal(file_allocate(f, FALLOC_FL_KEEP_SIZE, 0, 60000), 0);
	for (unsigned n = 1;; n++) {
		int r;

		sim_fail(n, -ENOSPC, false);
		r = file_truncate(f, 16); /* cuts the trailer, and reserves again */
		if (!sim_disarm())
			break;
		if (r < 0) {
			f = reopen(f);
			assert_int_equal(file_size(f), 5);
		} else { /* the reservation could not be looked at */
			assert_int_equal(file_truncate(f, 5), 0);
		}
		assert_content(f, a, 5);
	}
	file_close(f);
}

/* A hole stays one: shrinking into it asks the disk for no space. */
static void shrinking_into_a_hole_writes_nothing(void **state)
{
	struct file *f = new_file(100, 12);
	size_t len;

	(void)state;
	assert_int_equal(file_truncate(f, 30000), 0);
	assert_int_equal(file_truncate(f, 20001), 0);
	assert_int_equal(file_size(f), 20001);
	assert_true(bytes_all_zero(sim_bytes(&len) + FILE_HEADER_LEN + 4096, 15000));
	assert_int_equal(len, file_length_of_size(20001));
	f = reopen(f);
	assert_int_equal(file_size(f), 20001);
	assert_int_equal(file_truncate(f, 30000), 0);
	memset(a + 100, 0, 30000 - 100);
	assert_content(f, a, 30000);
	file_close(f);
}

static void reservation_survives_growth_inside_a_block(void **state)
{
	struct file *f = new_file(5, 10);

	(void)state;
	assert_int_equal(file_allocate(f, FALLOC_FL_KEEP_SIZE, 0, 60000), 0);
	kit_write(f, (const uint8_t *)"12345678901", 11, 5);
	assert_int_equal(file_size(f), 16);
	assert_true(sim_sysio.allocated_end(SIM_FD, 5000) >= 60000);
	assert_int_equal(file_truncate(f, 37), 0);
	assert_int_equal(file_truncate(f, 48), 0);
	file_close(f);
}

static void sizes_beyond_the_format_are_refused(void **state)
{
	struct file *f = kit_open_sim();
	const uint8_t *data;

	(void)state;
	assert_int_equal(file_write(f, kit_room(), a, 1, FILE_SIZE_MAX), -EFBIG);
	assert_int_equal(file_write(f, kit_room(), a, 2, UINT64_MAX), -EFBIG);
	assert_int_equal(file_truncate(f, FILE_SIZE_MAX + 1), -EFBIG);
	assert_int_equal(file_read(f, kit_room(), 1, UINT64_MAX, &data), 0);
	assert_int_equal(file_write(f, kit_room(), a, KIT_MAX + 1, 0), -EINVAL);
	assert_int_equal(file_write(f, kit_room(), a, 0, 5), 0);
	file_close(f);
}

static void read_only_refuses_changes(void **state)
{
	struct file *f = new_file(100, 11);

	(void)state;
	file_close(f);
	assert_int_equal(file_open(kit_context(&sim_sysio), SIM_FD, 1, FILE_READ_ONLY, &f), 0);
	assert_content(f, a, 100);
	assert_int_equal(file_write(f, kit_room(), a, 1, 0), -EROFS);
	assert_int_equal(file_truncate(f, 5), -EROFS);
	assert_int_equal(file_allocate(f, 0, 0, 16), -EROFS);
	file_close(f);
}

/*
 * What lies past the end is not copied by a partial write: after one, the block
 * is clean, and growing need not clean it (which would sync).
 */
static void partial_write_does_not_copy_what_lies_past_the_end(void **state)
{
	struct file *f = new_file(10, 30);
	unsigned syncs;

	(void)state;
	file_close(f);
	/* A crash in mid-shrink: size 5, five stale bytes after it, trailer of zeros. */
	assert_int_equal(sim_sysio.ftruncate(SIM_FD, (off_t)file_length_of_size(5)), 0);
	f = kit_open_sim();
	assert_int_equal(file_size(f), 5);
	kit_write(f, a, 1, 0);
	syncs = sim_syncs();
	assert_int_equal(file_truncate(f, 50), 0);
	assert_int_equal(sim_syncs(), syncs);
	memset(a + 5, 0, 45);
	assert_content(f, a, 50);
	file_close(f);
}

/* Headers. */

static int try_open(unsigned flags)
{
	struct file *f = NULL;
	int r = file_open(kit_context(&sim_sysio), SIM_FD, 1, flags, &f);

	file_close(f);
	return r;
}

static void damage(size_t off, size_t len, uint8_t xor)
{
	static uint8_t copy[1 << 17];
	size_t total;
	const uint8_t *bytes = sim_bytes(&total);

	memcpy(copy, bytes, total);
	for (size_t i = 0; i < len; i++)
		copy[off + i] = xor? copy[off + i] ^ xor : 0;
	sim_set(copy, total);
}

static enum file_verdict verdict(void)
{
	enum file_verdict v;

	assert_int_equal(file_check(kit_context(&sim_sysio), SIM_FD, &v), 0);
	return v;
}

static void one_damaged_record_is_repaired(void **state)
{
	(void)state;
	for (size_t at = 0; at < FILE_HEADER_LEN; at += FILE_RECORD_STRIDE) {
		for (size_t i = 0; i < FILE_RECORD_LEN; i += 13) {
			struct file *f;

			sim_reset();
			kit_reset_events();
			file_close(new_file(100, 12));
			damage(at + i, 1, 0x40);
			assert_int_equal(verdict(), FILE_BAD_RECORD);
			f = kit_open_sim();
			assert_content(f, a, 100);
			file_close(f);
			assert_int_equal(kit_events(FILE_EVENT_RECORD_REPAIRED), 1);
			assert_int_equal(verdict(), FILE_GOOD);
		}
	}
}

static void damaged_header_is_refused_never_empty(void **state)
{
	(void)state;
	file_close(new_file(100, 13));
	damage(20, 1, 0x01);
	damage(FILE_RECORD_STRIDE + 400, 1, 0x80);
	assert_int_equal(verdict(), FILE_FOREIGN_VOLUME); /* what record 0 looks like now */
	assert_int_equal(try_open(0), -EBADMSG);
	assert_int_equal(kit_events(FILE_EVENT_HEADER_DAMAGED), 1);
	assert_int_equal(try_open(FILE_READ_ONLY), -EBADMSG);
}

static void zeroed_header_with_data_is_refused(void **state)
{
	(void)state;
	file_close(new_file(100, 14));
	damage(0, FILE_HEADER_LEN, 0);
	assert_int_equal(verdict(), FILE_NO_HEADER);
	assert_int_equal(try_open(0), -EBADMSG);
	assert_int_equal(kit_events(FILE_EVENT_HEADER_MISSING), 1);
}

static void zeroed_header_without_data_is_zeros_and_gets_a_key(void **state)
{
	struct file *f;

	(void)state;
	sim_set(a, 0);
	assert_int_equal(sim_sysio.ftruncate(SIM_FD, (off_t)file_length_of_size(6000)), 0);
	assert_int_equal(verdict(), FILE_HOLES_ONLY);
	f = kit_open_sim();
	memset(a, 0, 6000);
	assert_content(f, a, 6000);
	kit_write(f, (const uint8_t *)"data", 4, 4094);
	memcpy(a + 4094, "data", 4);
	assert_content(f, a, 6000);
	f = reopen(f);
	assert_content(f, a, 6000);
	assert_int_equal(verdict(), FILE_GOOD);
	assert_int_equal(file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 6000), 0);
	file_close(f);
}

/*
 * Blocks that were allocated before a power cut and never written, as InnoDB
 * leaves them: it does not sync a new table, and expects zeros or its pages.
 */
static void allocated_zeros_are_no_data(void **state)
{
	static uint8_t zeros[FILE_HEADER_LEN + 30000];
	struct file *f;

	(void)state;
	sim_set(zeros, FILE_HEADER_LEN + 30000);
	assert_int_equal(verdict(), FILE_HOLES_ONLY);
	f = kit_open_sim();
	memset(a, 0, 30000);
	assert_content(f, a, 30000);
	file_close(f);
	zeros[FILE_HEADER_LEN + 29999] = 1;
	sim_set(zeros, FILE_HEADER_LEN + 30000);
	zeros[FILE_HEADER_LEN + 29999] = 0;
	assert_int_equal(verdict(), FILE_NO_HEADER);
}

static void holes_only_can_be_punched_and_shrunk(void **state)
{
	struct file *f;

	(void)state;
	assert_int_equal(sim_sysio.ftruncate(SIM_FD, (off_t)file_length_of_size(6001)), 0);
	f = kit_open_sim();
	assert_int_equal(file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3, 100), 0);
	assert_int_equal(file_truncate(f, 5003), 0);
	memset(a, 0, 6001);
	assert_content(f, a, 5003);
	assert_int_equal(file_truncate(f, 0), 0);
	f = reopen(f);
	assert_int_equal(file_size(f), 0);
	file_close(f);
}

static void damage_outside_the_records_is_repaired(void **state)
{
	static const size_t places[] = { 512, 2047, 2560, 4095 };
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		sim_reset();
		file_close(new_file(100, 15));
		damage(places[i], 1, 0x01);
		assert_int_equal(verdict(), FILE_BAD_RECORD);
		assert_int_equal(try_open(0), 0);
		assert_int_equal(verdict(), FILE_GOOD);
		assert_int_equal(sim_bytes(&len)[places[i]], 0);
	}
}

/* Give record `i` the HMAC that its bytes ask for. */
static void reseal(unsigned i)
{
	const size_t at = file_record_at(i);
	CLEANUP_SECRET struct secret *dek = kit_dek();
	struct secret *key = NULL;
	uint8_t mac[32];
	size_t len;

	assert_int_equal(derive_file_header_key(dek, sim_bytes(&len) + at + 48, &key), 0);
	assert_int_equal(hmac_sha256(key, sim_bytes(&len) + at, FILE_RECORD_MAC_AT, mac), 0);
	secret_free(key);
	assert_int_equal(sim_sysio.pwrite(SIM_FD, mac, 32, (off_t)(at + FILE_RECORD_MAC_AT)), 32);
}

/* Also when the other record is of ours: it must not be "repaired" away. */
static void newer_record_versions_are_told_apart(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FILE_RECORD_COUNT; i++) {
		sim_reset();
		file_close(new_file(100, 16));
		damage(file_record_at(i) + (i ? 12 : 8), 1, 0x02); /* a feature, a version */
		assert_int_equal(verdict(), FILE_BAD_RECORD);	   /* damage, by its HMAC */
		reseal(i);
		assert_int_equal(verdict(), FILE_UNKNOWN_VERSION);
		assert_int_equal(try_open(0), -EBADMSG);
		assert_int_equal(verdict(), FILE_UNKNOWN_VERSION);
	}
}

/* Taken away beneath an open file: no contents, in or out, and nothing is harmed by trying. */
static void without_keys_nothing_is_read_or_written(void **state)
{
	const struct file_context *c = kit_context(&sim_sysio);
	const size_t secrets = secret_count();
	struct file *f = new_file(10000, 21);
	const uint8_t *data;
	uint8_t expect[5000], found[5000];

	(void)state;
	kit_read(f, expect, sizeof(expect), 3);
	file_keys_wipe(c->keys);
	assert_int_equal(secret_count(), secrets - 1); /* the DEK is gone, too */
	assert_int_equal(file_read(f, kit_room(), 16, 3, &data), -ENOKEY);
	assert_int_equal(file_write(f, kit_room(), expect, 7, 3), -ENOKEY);
	assert_int_equal(file_write(f, kit_room(), expect, 7, 20000), -ENOKEY);
	assert_int_equal(file_truncate(f, 4099), -ENOKEY);
	assert_int_equal(file_sync(f, true), 0);
	assert_int_equal(file_keys_set(c->keys, kit_dek()), 0);
	kit_read(f, found, 4000, 3);
	assert_memory_equal(found, expect, 4000);
	file_close(f);
	assert_int_equal(secret_count(), secrets);
}

/* A file that has no header yet gets none without a key, and one that has is not opened. */
static void without_keys_no_file_is_begun(void **state)
{
	const struct file_context *c = kit_context(&sim_sysio);
	struct file *f, *other = NULL;

	(void)state;
	sim_reset();
	f = kit_open_sim();
	file_keys_wipe(c->keys);
	assert_int_equal(file_write(f, kit_room(), (const uint8_t *)"x", 1, 0), -ENOKEY);
	assert_int_equal(file_size(f), 0);
	assert_int_equal(file_keys_set(c->keys, kit_dek()), 0);
	kit_write(f, (const uint8_t *)"x", 1, 0);
	file_close(f);
	file_keys_wipe(c->keys);
	assert_int_equal(file_open(c, SIM_FD, 1, 0, &other), -ENOKEY);
	assert_int_equal(file_keys_set(c->keys, kit_dek()), 0);
}

static void other_volumes_and_deks_are_told_apart(void **state)
{
	struct file_context other = *kit_context(&sim_sysio);
	enum file_verdict v;
	struct file *f = NULL;

	(void)state;
	file_close(new_file(100, 17));
	other.key_domain_id[3] ^= 1;
	assert_int_equal(file_check(&other, SIM_FD, &v), 0);
	assert_int_equal(v, FILE_FOREIGN_VOLUME);
	assert_int_equal(file_open(&other, SIM_FD, 1, 0, &f), -EBADMSG);
	other = *kit_context(&sim_sysio);
	other.dek_id[3] ^= 1;
	assert_int_equal(file_check(&other, SIM_FD, &v), 0);
	assert_int_equal(v, FILE_FOREIGN_DEK);
	other = *kit_context(&sim_sysio);
	other.keys = NULL; /* without the key: structure only */
	assert_int_equal(file_check(&other, SIM_FD, &v), 0);
	assert_int_equal(v, FILE_GOOD);
}

static void impossible_lengths_are_damage(void **state)
{
	(void)state;
	for (size_t extra = 1; extra < 16; extra++) {
		sim_reset();
		file_close(new_file(100, 18));
		assert_int_equal(sim_sysio.ftruncate(SIM_FD, (off_t)(FILE_HEADER_LEN + extra)), 0);
		assert_int_equal(verdict(), FILE_BAD_LENGTH);
		assert_int_equal(try_open(0), -EBADMSG);
		assert_int_equal(try_open(FILE_DISCARD), 0);
		assert_int_equal(verdict(), FILE_EMPTY);
	}
	assert_int_equal(kit_events(FILE_EVENT_LENGTH_DAMAGED), 15);
}

static void discard_makes_a_damaged_file_usable(void **state)
{
	struct file *f;

	(void)state;
	file_close(new_file(100, 19));
	damage(0, FILE_HEADER_LEN, 0x55);
	assert_int_equal(try_open(0), -EBADMSG);
	assert_int_equal(file_open(kit_context(&sim_sysio), SIM_FD, 1, FILE_DISCARD, &f), 0);
	assert_int_equal(file_size(f), 0);
	kit_fill(a, 50, 20, 0);
	kit_write(f, a, 50, 0);
	f = reopen(f);
	assert_content(f, a, 50);
	file_close(f);
}

/* What a power cut leaves of a first header, sector by sector; and what is none of it. */
static void beginnings_of_a_header_are_told_from_other_bytes(void **state)
{
	static uint8_t header[FILE_HEADER_LEN];
	const uint8_t *disk;
	size_t len;

	(void)state;
	sim_reset();
	file_close(new_file(100, 22));
	disk = sim_bytes(&len);
	memcpy(header, disk, sizeof(header));
	for (len = 0; len <= sizeof(header); len += 8) {
		sim_reset();
		sim_set(header, len);
		assert_int_equal(verdict(), FILE_EMPTY);
		memset(a, 0, sizeof(header));
		memcpy(a, header, len);
		sim_reset();
		sim_set(a, sizeof(header)); /* the length was there first */
		assert_int_equal(verdict(), FILE_EMPTY);
		memcpy(a, header, sizeof(header));
		memset(a, 0, len & ~(size_t)511);
		sim_reset();
		sim_set(a, sizeof(header)); /* or the sectors after it */
		assert_int_equal(verdict(), FILE_EMPTY);
	}
	for (size_t at = 0; at < sizeof(header); at += FILE_RECORD_LEN) {
		memcpy(a, header, sizeof(header));
		a[at] = '#';
		sim_reset();
		sim_set(a, sizeof(header));
		assert_int_equal(verdict(), FILE_NOT_OURS);
	}
}

/* A crash while a header was being written: length 1..4095, or 4096 of anything. */
static void unfinished_creates_are_empty(void **state)
{
	(void)state;
	memset(a, 0x77, 4096);
	for (size_t len = 1; len <= 4096; len += 455) {
		struct file *f;

		sim_reset();
		sim_set(a, len);
		assert_int_equal(verdict(), FILE_NOT_OURS);
		f = kit_open_sim();
		assert_int_equal(file_size(f), 0);
		kit_write(f, (const uint8_t *)"new", 3, 0);
		f = reopen(f);
		assert_content(f, (const uint8_t *)"new", 3);
		file_close(f);
	}
}

static void truncation_to_nothing_keeps_the_header(void **state)
{
	struct file *f = new_file(5000, 21);
	size_t len;

	(void)state;
	assert_int_equal(file_truncate(f, 0), 0);
	sim_bytes(&len);
	assert_int_equal(len, FILE_HEADER_LEN);
	f = reopen(f);
	kit_write(f, (const uint8_t *)"again", 5, 0);
	f = reopen(f);
	assert_content(f, (const uint8_t *)"again", 5);
	file_close(f);
}

/* Two files with the same bytes have different keys; one file's equal blocks differ by place. */
static void equal_plaintexts_give_different_ciphertexts(void **state)
{
	static uint8_t first[FILE_HEADER_LEN + 8192];
	size_t len;

	(void)state;
	memset(a, 'z', 8192);
	for (int i = 0; i < 2; i++) {
		struct file *f;
		const uint8_t *disk;

		sim_reset();
		f = kit_open_sim();
		kit_write(f, a, 8192, 0);
		file_close(f);
		disk = sim_bytes(&len);
		if (i == 0)
			memcpy(first, disk, sizeof(first));
		for (size_t at = FILE_HEADER_LEN; at < len - 16; at += 16)
			assert_memory_not_equal(disk + at, disk + at + 16, 16);
		if (i == 1)
			assert_memory_not_equal(first + FILE_HEADER_LEN, disk + FILE_HEADER_LEN,
						4096);
	}
}

/* Errors that are held. */

static void failed_sync_is_repeated_until_the_last_close(void **state)
{
	struct file *f = new_file(100, 22);

	(void)state;
	assert_int_equal(file_rest(f), FILE_DIRTY);
	sim_fail(1, -EIO, false);
	assert_int_equal(file_sync(f, true), -EIO);
	assert_true(sim_disarm());
	assert_int_equal(file_sync(f, true), -EIO);
	assert_int_equal(file_sync(f, false), -EIO);
	assert_int_equal(file_rest(f), FILE_LATCHED);
	file_last_close(f);
	assert_int_equal(file_sync(f, true), 0);
	assert_int_equal(file_rest(f), FILE_CLEAN);
	file_close(f);
}

static void latched_error_outlives_a_close_that_reported_nothing(void **state)
{
	struct file *f = new_file(100, 23);

	(void)state;
	assert_int_equal(file_sync(f, true), 0);
	file_latch(f, -ENOSPC);
	assert_int_equal(kit_events(FILE_EVENT_ERROR_LATCHED), 1);
	file_latch(f, -EIO); /* the first one counts */
	file_last_close(f);
	assert_int_equal(file_rest(f), FILE_LATCHED);
	assert_int_equal(file_sync(f, true), -ENOSPC);
	file_last_close(f);
	assert_int_equal(file_rest(f), FILE_CLEAN);
	file_close(f);
}

static void settling_cleans_or_latches(void **state)
{
	struct file *f = new_file(100, 24);

	(void)state;
	file_settle(f);
	assert_int_equal(file_rest(f), FILE_CLEAN);
	kit_write(f, a, 10, 0);
	assert_int_equal(file_rest(f), FILE_DIRTY);
	sim_fail(1, -EIO, false);
	file_settle(f);
	sim_disarm();
	assert_int_equal(file_rest(f), FILE_LATCHED);
	assert_int_equal(file_sync(f, true), -EIO);
	file_close(f);
}

static void a_shortened_backing_file_is_an_error(void **state)
{
	struct file *f = new_file(9000, 25);
	const uint8_t *data;

	(void)state;
	assert_int_equal(sim_sysio.ftruncate(SIM_FD, 6000), 0);
	assert_int_equal(file_read(f, kit_room(), 4096, 4096, &data), -EIO);
	assert_int_equal(file_write(f, kit_room(), a, 3, 8001), -EIO);
	file_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(empty_file_has_no_bytes_on_disk, setup),
		cmocka_unit_test_setup(what_is_written_is_read, setup),
		cmocka_unit_test_setup(appends_of_every_length_join, setup),
		cmocka_unit_test_setup(rmw_keeps_rest_of_sector, setup),
		cmocka_unit_test_setup(plaintext_is_not_on_disk, setup),
		cmocka_unit_test_setup(gap_before_a_write_is_a_hole_of_zeros, setup),
		cmocka_unit_test_setup(truncated_up_reads_zeros_and_writes_no_data, setup),
		cmocka_unit_test_setup(regrown_bytes_are_zero, setup),
		cmocka_unit_test_setup(punch_and_zero_clear_exactly_their_range, setup),
		cmocka_unit_test_setup(punch_at_the_tail_stays_in_the_file, setup),
		cmocka_unit_test_setup(allocation_grows_unless_told_to_keep, setup),
		cmocka_unit_test_setup(reservation_survives_growth_inside_a_block, setup),
		cmocka_unit_test_setup(growth_that_fails_is_taken_back, setup),
		cmocka_unit_test_setup(shrinking_into_a_hole_writes_nothing, setup),
		cmocka_unit_test_setup(sizes_beyond_the_format_are_refused, setup),
		cmocka_unit_test_setup(read_only_refuses_changes, setup),
		cmocka_unit_test_setup(partial_write_does_not_copy_what_lies_past_the_end, setup),
		cmocka_unit_test_setup(one_damaged_record_is_repaired, setup),
		cmocka_unit_test_setup(damaged_header_is_refused_never_empty, setup),
		cmocka_unit_test_setup(zeroed_header_with_data_is_refused, setup),
		cmocka_unit_test_setup(zeroed_header_without_data_is_zeros_and_gets_a_key, setup),
		cmocka_unit_test_setup(allocated_zeros_are_no_data, setup),
		cmocka_unit_test_setup(holes_only_can_be_punched_and_shrunk, setup),
		cmocka_unit_test_setup(damage_outside_the_records_is_repaired, setup),
		cmocka_unit_test_setup(newer_record_versions_are_told_apart, setup),
		cmocka_unit_test_setup(other_volumes_and_deks_are_told_apart, setup),
		cmocka_unit_test_setup(impossible_lengths_are_damage, setup),
		cmocka_unit_test_setup(discard_makes_a_damaged_file_usable, setup),
		cmocka_unit_test_setup(beginnings_of_a_header_are_told_from_other_bytes, setup),
		cmocka_unit_test_setup(unfinished_creates_are_empty, setup),
		cmocka_unit_test_setup(truncation_to_nothing_keeps_the_header, setup),
		cmocka_unit_test_setup(equal_plaintexts_give_different_ciphertexts, setup),
		cmocka_unit_test_setup(without_keys_nothing_is_read_or_written, setup),
		cmocka_unit_test_setup(without_keys_no_file_is_begun, setup),
		cmocka_unit_test_setup(failed_sync_is_repeated_until_the_last_close, setup),
		cmocka_unit_test_setup(latched_error_outlives_a_close_that_reported_nothing, setup),
		cmocka_unit_test_setup(settling_cleans_or_latches, setup),
		cmocka_unit_test_setup(a_shortened_backing_file_is_an_error, setup),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, kit_teardown);
}
