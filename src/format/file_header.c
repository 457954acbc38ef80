/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a file header record. Neither reads files nor holds keys. */
#include "tdefs/file_header.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tdefs/bytes.h"

#define FILE_MAGIC   "TDEFSFIL"
#define FILE_VERSION 1

static_assert(FILE_RECORD_MAC_AT + FILE_RECORD_MAC_LEN == FILE_RECORD_LEN, "the HMAC is last");

void file_record_encode(const struct file_record *record, uint8_t ret_bytes[static FILE_RECORD_LEN])
{
	struct wr w = wr_over(ret_bytes, FILE_RECORD_LEN);

	wr_copy(&w, FILE_MAGIC, 8);
	wr_le32(&w, FILE_VERSION);
	wr_le32(&w, 0); /* incompatible features */
	wr_copy(&w, record->key_domain_id, 16);
	wr_copy(&w, record->dek_id, 16);
	wr_copy(&w, record->nonce, 32);
	wr_le64(&w, record->sequence);
	wr_zeros_until(&w, FILE_RECORD_LEN);
}

int file_record_parse(const uint8_t bytes[static FILE_RECORD_LEN], struct file_record *ret_record)
{
	struct rd r = rd_over(bytes, FILE_RECORD_MAC_AT);
	struct file_record record;
	uint32_t version, features;
	char magic[8];

	rd_copy(&r, magic, 8);
	version = rd_le32(&r);
	features = rd_le32(&r);
	rd_copy(&r, record.key_domain_id, 16);
	rd_copy(&r, record.dek_id, 16);
	rd_copy(&r, record.nonce, 32);
	record.sequence = rd_le64(&r);
	if (memcmp(magic, FILE_MAGIC, 8) != 0)
		return -EBADMSG;
	if (version != FILE_VERSION || features != 0) {
		*ret_record = record;
		return -EPROTONOSUPPORT;
	}
	rd_zeros_until(&r, FILE_RECORD_MAC_AT);
	if (r.bad)
		return -EBADMSG;
	*ret_record = record;
	return 0;
}

/* The beginning of a record, or of nothing yet. */
static bool record_may_be_begun(const uint8_t *bytes, size_t len)
{
	const size_t n = len < strlen(FILE_MAGIC) ? len : strlen(FILE_MAGIC);

	return memcmp(bytes, FILE_MAGIC, n) == 0 || bytes_all_zero(bytes, n);
}

bool file_header_may_be_begun(const uint8_t header[static FILE_HEADER_LEN], size_t len)
{
	bool may_be = file_header_rest_is_zero(header);

	for (unsigned i = 0; i < FILE_RECORD_COUNT && file_record_at(i) < len; i++)
		may_be = may_be &&
			 record_may_be_begun(header + file_record_at(i), len - file_record_at(i));
	return may_be;
}

bool file_header_rest_is_zero(const uint8_t header[static FILE_HEADER_LEN])
{
	const size_t gap = FILE_RECORD_STRIDE - FILE_RECORD_LEN;

	return bytes_all_zero(header + FILE_RECORD_LEN, gap) &&
	       bytes_all_zero(header + FILE_RECORD_STRIDE + FILE_RECORD_LEN, gap);
}
