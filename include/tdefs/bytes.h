/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor over bytes, little-endian. Reading past the end or writing past the
 * room sets `bad`, which sticks: callers check it once, at the end. Nothing is
 * read or written out of bounds. Not thread-safe; owns nothing.
 */
#ifndef TDEFS_BYTES_H
#define TDEFS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
	const uint8_t *data;
	size_t len;
	size_t pos;
	bool bad;
};

struct wr {
	uint8_t *data;
	size_t len;
	size_t pos;
	bool bad;
};

struct rd rd_over(const void *data, size_t len);
uint16_t rd_le16(struct rd *r);
uint32_t rd_le32(struct rd *r);
uint64_t rd_le64(struct rd *r);
void rd_copy(struct rd *r, void *out, size_t len); /* zero-fills `out` when bad */
void rd_skip(struct rd *r, size_t len);
/* Consume bytes up to the absolute position `pos`; bad unless each is zero. */
void rd_zeros_until(struct rd *r, size_t pos);

struct wr wr_over(void *data, size_t len);
void wr_le16(struct wr *w, uint16_t v);
void wr_le32(struct wr *w, uint32_t v);
void wr_le64(struct wr *w, uint64_t v);
void wr_copy(struct wr *w, const void *in, size_t len);
/* Fill with zeros up to the absolute position `pos`. */
void wr_zeros_until(struct wr *w, size_t pos);

/* True when all `len` bytes are zero. */
bool bytes_all_zero(const void *data, size_t len);

#define HEX_LEN(nbytes) (2 * (nbytes) + 1)
/* Lower-case hexadecimal with a final NUL; `out` has HEX_LEN(len) bytes. Returns `out`. */
char *hex_encode(const uint8_t *data, size_t len, char *out);
/* Exactly 2·len hexadecimal digits, else false. */
bool hex_decode(const char *text, uint8_t *out, size_t len);

#define UUID_TEXT_LEN 37
/* RFC 9562 text form of 16 bytes. Returns `out`. */
char *uuid_format(const uint8_t uuid[static 16], char out[static UUID_TEXT_LEN]);

#endif
