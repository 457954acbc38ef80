/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of backing files: examine, load, create, repair. What the bytes mean
 * is src/format's; when a header is due is file_write.c's.
 */
#include <errno.h>
#include <string.h>

#include "file_internal.h"
#include "tdefs/bytes.h"
#include "tdefs/file_header.h"

#define SCAN_LEN 65536

/* One look at a header. */
struct examination {
	enum file_verdict verdict;
	uint8_t bytes[FILE_HEADER_LEN];
	struct file_record record; /* the one that counts, when there is one */
	int good;		   /* its index */
};

void file_raise(const struct file_context *context, enum file_event event, uint64_t ino)
{
	if (event == FILE_EVENT_HEADER_DAMAGED || event == FILE_EVENT_HEADER_MISSING ||
	    event == FILE_EVENT_LENGTH_DAMAGED)
		counter_add(context->counters, COUNTER_DAMAGED_HEADERS, 1);
	if (context->event)
		context->event(context->event_arg, event, ino);
}

/* A verdict on one record of the header, by itself: FILE_GOOD or what is wrong with it. */
static int examine_record(const struct file_context *context, const uint8_t *bytes,
			  struct file_record *record, enum file_verdict *ret_verdict)
{
	uint8_t mac[FILE_RECORD_MAC_LEN];
	int parsed = file_record_parse(bytes, record), r;

	*ret_verdict = FILE_BAD_HEADER;
	if (parsed < 0 && parsed != -EPROTONOSUPPORT)
		return 0;
	if (memcmp(record->key_domain_id, context->key_domain_id, 16) != 0) {
		*ret_verdict = FILE_FOREIGN_VOLUME;
		return 0;
	}
	if (memcmp(record->dek_id, context->dek_id, DEK_ID_LEN) != 0) {
		*ret_verdict = FILE_FOREIGN_DEK;
		return 0;
	}
	if (context->keys) {
		r = file_keys_header_mac(context->keys, record->nonce, bytes, mac);
		if (r < 0)
			return r;
		if (!constant_time_equal(mac, bytes + FILE_RECORD_MAC_AT, sizeof(mac)))
			return 0;
	}
	*ret_verdict = parsed < 0 ? FILE_UNKNOWN_VERSION : FILE_GOOD;
	return 0;
}

/* The good record with the highest sequence serves; all else must be right to be FILE_GOOD. */
static int examine_records(const struct file_context *context, struct examination *x)
{
	enum file_verdict verdicts[FILE_RECORD_COUNT];
	struct file_record records[FILE_RECORD_COUNT];
	bool newer = false;
	int good = -1;

	for (int i = 0; i < FILE_RECORD_COUNT; i++) {
		int r = examine_record(context, x->bytes + file_record_at((unsigned)i), &records[i],
				       &verdicts[i]);

		if (r < 0)
			return r;
		newer = newer || verdicts[i] == FILE_UNKNOWN_VERSION;
		if (verdicts[i] == FILE_GOOD &&
		    (good < 0 || records[i].sequence > records[good].sequence))
			good = i;
	}
	if (good < 0 || newer) { /* a newer version may mean something else by the older record */
		x->verdict = newer ? FILE_UNKNOWN_VERSION : verdicts[0];
		return 0;
	}
	x->good = good;
	x->record = records[good];
	x->verdict = verdicts[0] == verdicts[1] && file_header_rest_is_zero(x->bytes)
			     ? FILE_GOOD
			     : FILE_BAD_RECORD;
	return 0;
}

/*
 * Is anything but zeros after the header? Bytes count, not extents: where a
 * power cut left blocks that were allocated and never written, SEEK_DATA calls
 * them data as soon as they have been read into the page cache.
 */
static int has_data(const struct sysio *sys, int fd)
{
	CLEANUP_FREE uint8_t *bytes = malloc(SCAN_LEN);
	off_t at = FILE_HEADER_LEN;
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	while ((at = sys->lseek(fd, at, SEEK_DATA)) >= 0) {
		n = sysio_pread_full(sys, fd, bytes, SCAN_LEN, (uint64_t)at);
		if (n <= 0)
			return (int)n;
		if (!bytes_all_zero(bytes, (size_t)n))
			return 1;
		at += n;
	}
	return at == -ENXIO ? 0 : (int)at;
}

/* Without read-ahead, which would pull in, as data, what is about to be looked for. */
static int look_for_data(const struct sysio *sys, int fd)
{
	int r = sys->fadvise(fd, 0, 0, POSIX_FADV_RANDOM);

	if (r == 0)
		r = has_data(sys, fd);
	if (r >= 0) {
		int back = sys->fadvise(fd, 0, 0, POSIX_FADV_NORMAL);

		r = back < 0 ? back : r;
	}
	return r;
}

static int examine(const struct file_context *context, int fd, uint64_t length,
		   struct examination *x)
{
	ssize_t n;
	int r;

	*x = (struct examination){ .verdict = FILE_EMPTY, .good = -1 };
	n = sysio_pread_full(context->sys, fd, x->bytes, FILE_HEADER_LEN, 0);
	if (n < 0)
		return (int)n;
	if (n < FILE_HEADER_LEN && length > FILE_HEADER_LEN)
		return -EIO;
	if (n < FILE_HEADER_LEN)
		return 0;
	if (bytes_all_zero(x->bytes, FILE_HEADER_LEN)) {
		if (length <= FILE_HEADER_LEN)
			return 0;
		r = look_for_data(context->sys, fd);
		if (r < 0)
			return r;
		x->verdict = r ? FILE_NO_HEADER : FILE_HOLES_ONLY;
		return 0;
	}
	return examine_records(context, x);
}

static int seal(const struct file_context *context, const struct file_record *record,
		uint8_t bytes[static FILE_RECORD_LEN])
{
	file_record_encode(record, bytes);
	return file_keys_header_mac(context->keys, record->nonce, bytes,
				    bytes + FILE_RECORD_MAC_AT);
}

/*
 * All of the header but the record that serves, anew; failing to is no reason
 * to refuse the file. That record is not written, so nothing can tear it.
 */
static void repair(const struct file_context *context, int fd, uint64_t ino,
		   const struct examination *x)
{
	const size_t good = file_record_at((unsigned)x->good);
	const size_t after = good + FILE_RECORD_LEN;
	uint8_t header[FILE_HEADER_LEN] = { 0 };
	int r;

	for (unsigned i = 0; i < FILE_RECORD_COUNT; i++)
		memcpy(header + file_record_at(i), x->bytes + good, FILE_RECORD_LEN);
	r = sysio_pwrite_all(context->sys, fd, header, good, 0);
	if (r == 0)
		r = sysio_pwrite_all(context->sys, fd, header + after, FILE_HEADER_LEN - after,
				     after);
	if (r == 0)
		file_raise(context, FILE_EVENT_RECORD_REPAIRED, ino);
	else
		counter_add(context->counters, COUNTER_IO_ERRORS, 1);
}

int header_load(const struct file_context *context, int fd, uint64_t ino, uint64_t length,
		bool read_only, uint8_t ret_nonce[static FILE_NONCE_LEN])
{
	struct examination x;
	int r = examine(context, fd, length, &x);

	if (r < 0)
		return r;
	if (x.verdict == FILE_BAD_RECORD && !read_only)
		repair(context, fd, ino, &x);
	if (x.verdict == FILE_GOOD || x.verdict == FILE_BAD_RECORD) {
		memcpy(ret_nonce, x.record.nonce, FILE_NONCE_LEN);
		return 1;
	}
	if (x.verdict == FILE_HOLES_ONLY || length <= FILE_HEADER_LEN)
		return 0;
	file_raise(context,
		   x.verdict == FILE_NO_HEADER ? FILE_EVENT_HEADER_MISSING
					       : FILE_EVENT_HEADER_DAMAGED,
		   ino);
	return -EBADMSG;
}

int header_create(const struct file_context *context, int fd,
		  uint8_t ret_nonce[static FILE_NONCE_LEN])
{
	uint8_t header[FILE_HEADER_LEN] = { 0 };
	struct file_record record = { .sequence = 1 };
	int r;

	memcpy(record.key_domain_id, context->key_domain_id, 16);
	memcpy(record.dek_id, context->dek_id, DEK_ID_LEN);
	r = random_bytes(record.nonce, sizeof(record.nonce));
	for (unsigned i = 0; r == 0 && i < FILE_RECORD_COUNT; i++)
		r = seal(context, &record, header + file_record_at(i));
	if (r == 0)
		r = sysio_pwrite_all(context->sys, fd, header, sizeof(header), 0);
	if (r < 0)
		return r;
	memcpy(ret_nonce, record.nonce, FILE_NONCE_LEN);
	return 0;
}

int file_check(const struct file_context *context, int fd, enum file_verdict *ret_verdict)
{
	struct examination x;
	uint64_t size;
	off_t length = context->sys->lseek(fd, 0, SEEK_END);
	int r;

	if (length < 0)
		return (int)length;
	if (file_size_of_length((uint64_t)length, &size) < 0) {
		*ret_verdict = FILE_BAD_LENGTH;
		return 0;
	}
	r = examine(context, fd, (uint64_t)length, &x);
	if (r < 0)
		return r;
	*ret_verdict = x.verdict;
	if ((uint64_t)length <= FILE_HEADER_LEN)
		*ret_verdict = file_header_may_be_begun(x.bytes, (size_t)length) ? FILE_EMPTY
										 : FILE_NOT_OURS;
	return 0;
}

int file_recheck(struct file *f, enum file_verdict *ret_verdict)
{
	struct range range;
	int r;

	range_lock_exclusive(&f->ranges, &range, 0, RANGE_END);
	r = file_check(f->context, f->fd, ret_verdict);
	range_unlock(&f->ranges, &range);
	return r;
}

const char *file_verdict_text(enum file_verdict verdict)
{
	static const char *const texts[] = {
		[FILE_GOOD] = "good",
		[FILE_EMPTY] = "empty",
		[FILE_HOLES_ONLY] = "holes only",
		[FILE_BAD_LENGTH] = "damaged length: no file of this format has it",
		[FILE_NO_HEADER] = "header missing: all zero, but data follows",
		[FILE_BAD_HEADER] = "header damaged: no usable record",
		[FILE_BAD_RECORD] = "header damaged in part: one good record serves",
		[FILE_FOREIGN_VOLUME] = "belongs to another volume (key domain)",
		[FILE_FOREIGN_DEK] = "encrypted under another DEK",
		[FILE_UNKNOWN_VERSION] = "made by a newer version",
		[FILE_NOT_OURS] = "not a volume's file: no header begins like it; reads as empty",
	};

	return texts[verdict];
}
