/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on disk: sizes, file header records, the volume header. */
#include "../support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/bytes.h"
#include "tdefs/crypto.h"
#include "tdefs/file_header.h"
#include "tdefs/file_size.h"
#include "tdefs/volume_header.h"

static void assert_inverse(uint64_t size)
{
	uint64_t back, length = file_length_of_size(size);

	assert_int_equal(file_size_of_length(length, &back), 0);
	assert_true(back == size);
	assert_true(length == FILE_HEADER_LEN + file_blocks_len(size) + file_trailer_len(size));
}

static void every_size_has_a_length_that_gives_it_back(void **state)
{
	static const uint64_t around[] = { UINT64_C(1) << 32, UINT64_C(1) << 40,
					   UINT64_C(1) << 62 };

	(void)state;
	for (uint64_t size = 0; size <= 200000; size++)
		assert_inverse(size);
	for (size_t i = 0; i < ARRAY_SIZE(around); i++)
		for (uint64_t size = around[i] - 5000; size <= around[i] + 5000; size++)
			assert_inverse(size);
	assert_inverse(FILE_SIZE_MAX);
	assert_true(file_length_of_size(FILE_SIZE_MAX) <= INT64_MAX);
}

/* Every length is a size, or 1 to 15 bytes of damage; each size belongs to one length. */
static void every_length_is_a_size_or_an_error(void **state)
{
	(void)state;
	for (uint64_t length = 0; length <= 200000; length++) {
		uint64_t size = 1234567;
		int r = file_size_of_length(length, &size);
		uint64_t d = length > FILE_HEADER_LEN ? length - FILE_HEADER_LEN : 0;

		if (d >= 1 && d <= 15) {
			assert_int_equal(r, -EBADMSG);
			assert_int_equal(size, 1234567);
			continue;
		}
		assert_int_equal(r, 0);
		if (length > FILE_HEADER_LEN)
			assert_int_equal(file_length_of_size(size), length);
		else
			assert_int_equal(size, 0);
	}
}

static struct file_record example_record(void)
{
	struct file_record r = { .sequence = 0x0102030405060708 };

	memset(r.key_domain_id, 0xd0, 16);
	memset(r.dek_id, 0xde, 16);
	memset(r.nonce, 0x11, 32);
	return r;
}

static void file_record_layout_is_pinned(void **state)
{
	struct file_record in = example_record(), out;
	uint8_t bytes[FILE_RECORD_LEN];

	(void)state;
	file_record_encode(&in, bytes);
	/* Changing any of these changes the disk format. */
	assert_memory_equal(bytes, "TDEFSFIL", 8);
	assert_memory_equal(bytes + 8, "\1\0\0\0\0\0\0\0", 8);
	assert_int_equal(bytes[16], 0xd0);
	assert_int_equal(bytes[32], 0xde);
	assert_int_equal(bytes[48], 0x11);
	assert_memory_equal(bytes + 80, "\10\7\6\5\4\3\2\1", 8);
	assert_true(bytes_all_zero(bytes + 88, FILE_RECORD_LEN - 88));
	assert_int_equal(file_record_parse(bytes, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void damaged_file_records_are_refused(void **state)
{
	struct file_record in = example_record(), out;
	uint8_t bytes[FILE_RECORD_LEN];

	(void)state;
	for (size_t i = 0; i < FILE_RECORD_MAC_AT; i++) {
		bool identity = i >= 16 && i < 88; /* what the HMAC protects */
		int r;

		file_record_encode(&in, bytes);
		bytes[i] ^= 0x10;
		r = file_record_parse(bytes, &out);
		if (i < 8 || i >= 88)
			assert_int_equal(r, -EBADMSG);
		else
			assert_int_equal(r, identity ? 0 : -EPROTONOSUPPORT);
	}
}

static struct volume_header *example_header(void)
{
	struct volume_header *h = calloc(1, sizeof(*h));
	struct key_slot *s = &h->slots[2];

	assert_non_null(h);
	h->cipher = VOLUME_CIPHER_AES_256_XTS;
	h->sector_size = 4096;
	h->sequence = 7;
	h->created = 1700000000;
	memset(h->uuid, 0x01, 16);
	memset(h->key_domain_id, 0x02, 16);
	memset(h->macs[0].dek_id, 0x03, 16);
	memset(h->macs[0].mac, 0x04, 32);
	s->state = SLOT_ACTIVE;
	s->wrap_algorithm = 1;
	memset(s->dek_id, 0x03, 16);
	memset(s->thumbprint, 0x05, 32);
	s->created = 1700000001;
	memset(s->canary_hash, 0x06, 32);
	memset(s->kid, 'k', VOLUME_KID_MAX);
	memset(s->wrapped_dek, 0x07, VOLUME_WRAPPED_MAX);
	s->wrapped_dek_len = VOLUME_WRAPPED_MAX;
	memset(s->wrapped_canary, 0x08, 256);
	s->wrapped_canary_len = 256;
	return h;
}

static uint8_t bytes[VOLUME_HEADER_LEN], again[VOLUME_HEADER_LEN];

static void volume_header_gives_back_what_it_was_given(void **state)
{
	struct volume_header *in = example_header(), *out = calloc(1, sizeof(*out));

	(void)state;
	assert_int_equal(volume_header_encode(in, sha256, bytes), 0);
	assert_int_equal(volume_header_parse(bytes, sizeof(bytes), sha256, out), 0);
	assert_memory_equal(out->digest, bytes + 480, 32);
	memset(out->digest, 0, 32);
	assert_memory_equal(in, out, sizeof(*in));
	assert_ptr_equal(volume_header_active_slot(out), &out->slots[2]);
	/* Changing any of these changes the disk format. */
	assert_memory_equal(bytes, "TDEFSVOL\1\0\0\0\0\100\0\0\0\0\0\0\0\0\0\0", 24);
	assert_int_equal(bytes[24], 1);
	assert_int_equal(bytes[40], 2);
	assert_memory_equal(bytes + 56, "\7\0\0\0\0\0\0\0", 8);
	assert_memory_equal(bytes + 72, "\1\0\0\0\0\20\0\0", 8);
	assert_int_equal(bytes[128], 3);
	assert_int_equal(bytes[144], 4);
	assert_int_equal(bytes[4096 + 2 * 2048], SLOT_ACTIVE);
	assert_int_equal(bytes[4096 + 2 * 2048 + 128], 'k');
	assert_int_equal(bytes[4096 + 2 * 2048 + 896], 7);
	assert_int_equal(bytes[4096 + 2 * 2048 + 1408], 8);
	free(in);
	free(out);
}

static void the_macs_cover_everything_but_the_sums(void **state)
{
	static uint8_t unsealed[VOLUME_HEADER_LEN];
	struct volume_header *h = example_header();

	(void)state;
	assert_int_equal(volume_header_encode_unsealed(h, unsealed), 0);
	assert_int_equal(volume_header_encode(h, sha256, bytes), 0);
	assert_true(bytes_all_zero(unsealed + 144, 32));
	assert_true(bytes_all_zero(unsealed + 480, 32));
	memset(bytes + 144, 0, 32);
	memset(bytes + 480, 0, 32);
	assert_memory_equal(bytes, unsealed, sizeof(bytes));
	free(h);
}

static void any_flipped_bit_of_a_volume_header_shows(void **state)
{
	struct volume_header *h = example_header(), *out = calloc(1, sizeof(*out));

	(void)state;
	assert_int_equal(volume_header_encode(h, sha256, bytes), 0);
	for (size_t i = 0; i < sizeof(bytes); i += i < 4096 ? 1 : 7) {
		bytes[i] ^= 0x04;
		assert_int_equal(volume_header_parse(bytes, sizeof(bytes), sha256, out), -EBADMSG);
		bytes[i] ^= 0x04;
	}
	assert_int_equal(volume_header_parse(bytes, sizeof(bytes), sha256, out), 0);
	free(h);
	free(out);
}

static void any_short_volume_header_is_damaged(void **state)
{
	struct volume_header *h = example_header(), *out = calloc(1, sizeof(*out));

	(void)state;
	assert_int_equal(volume_header_encode(h, sha256, bytes), 0);
	for (size_t len = 0; len < sizeof(bytes); len += len < 4200 ? 1 : 61)
		assert_int_equal(volume_header_parse(bytes, len, sha256, out), -EBADMSG);
	free(h);
	free(out);
}

/* Intact by its sum, but wrong in meaning: one fault each. */
static int parse_resealed(size_t at, uint8_t value)
{
	struct volume_header *h = example_header(), *out = calloc(1, sizeof(*out));
	int r;

	assert_int_equal(volume_header_encode(h, sha256, bytes), 0);
	bytes[at] = value;
	memset(bytes + 480, 0, 32);
	assert_int_equal(sha256(bytes, sizeof(bytes), bytes + 480), 0);
	r = volume_header_parse(bytes, sizeof(bytes), sha256, out);
	if (r == 0) { /* a later writer keeps all of it, what it does not know too */
		assert_int_equal(volume_header_encode(out, sha256, again), 0);
		assert_memory_equal(again, bytes, sizeof(bytes));
	}
	free(h);
	free(out);
	return r;
}

static void wrong_fields_are_refused_though_the_sum_is_right(void **state)
{
	const size_t slot = 4096 + 2 * 2048;

	(void)state;
	assert_int_equal(parse_resealed(24, 0xff), 0);		      /* the UUID may be anything */
	assert_int_equal(parse_resealed(8, 2), -EPROTONOSUPPORT);     /* version */
	assert_int_equal(parse_resealed(16, 1), -EPROTONOSUPPORT);    /* incompatible feature */
	assert_int_equal(parse_resealed(20, 1), 0);		      /* compatible feature */
	assert_int_equal(parse_resealed(72, 9), -EPROTONOSUPPORT);    /* cipher */
	assert_int_equal(parse_resealed(77, 0x30), -EPROTONOSUPPORT); /* sector size */
	assert_int_equal(parse_resealed(100, 1), -EBADMSG);	      /* reserved */
	assert_int_equal(parse_resealed(300, 1), -EBADMSG);
	assert_int_equal(parse_resealed(600, 1), -EBADMSG);
	assert_int_equal(parse_resealed(4096, 1), -EBADMSG);		 /* two active slots */
	assert_int_equal(parse_resealed(4096, 77), -EBADMSG);		 /* unknown slot state */
	assert_int_equal(parse_resealed(slot, SLOT_PREVIOUS), -EBADMSG); /* none active */
	assert_int_equal(parse_resealed(4097, 1), -EBADMSG);	      /* an empty slot is empty */
	assert_int_equal(parse_resealed(slot + 97, 0xff), -EBADMSG);  /* kid too long */
	assert_int_equal(parse_resealed(slot + 99, 0xff), -EBADMSG);  /* wrapped DEK too long */
	assert_int_equal(parse_resealed(slot + 101, 0xff), -EBADMSG); /* canary too long */
	assert_int_equal(parse_resealed(slot + 102, 1), -EBADMSG);    /* reserved */
	assert_int_equal(parse_resealed(slot + 130, 0), -EBADMSG);    /* NUL in the kid */
	assert_int_equal(parse_resealed(slot + 1408 + 256, 1), -EBADMSG); /* after the canary */
	assert_int_equal(parse_resealed(slot + 2047, 1), -EBADMSG);
}

static void unwritable_headers_are_refused(void **state)
{
	struct volume_header *h = example_header();

	(void)state;
	h->slots[2].state = SLOT_EMPTY; /* no active slot */
	assert_int_equal(volume_header_encode(h, sha256, bytes), -EINVAL);
	assert_int_equal(volume_header_encode_unsealed(h, bytes), -EINVAL);
	h->slots[2].state = SLOT_ACTIVE;
	h->slots[2].wrapped_dek_len = VOLUME_WRAPPED_MAX + 1;
	assert_int_equal(volume_header_encode(h, sha256, bytes), -EINVAL);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_has_a_length_that_gives_it_back),
		cmocka_unit_test(every_length_is_a_size_or_an_error),
		cmocka_unit_test(file_record_layout_is_pinned),
		cmocka_unit_test(damaged_file_records_are_refused),
		cmocka_unit_test(volume_header_gives_back_what_it_was_given),
		cmocka_unit_test(the_macs_cover_everything_but_the_sums),
		cmocka_unit_test(any_flipped_bit_of_a_volume_header_shows),
		cmocka_unit_test(any_short_volume_header_is_damaged),
		cmocka_unit_test(wrong_fields_are_refused_though_the_sum_is_right),
		cmocka_unit_test(unwritable_headers_are_refused),
	};

	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
