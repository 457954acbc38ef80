/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds-checked little-endian cursor and hexadecimal text. Knows no format. */
#include "tdefs/bytes.h"

#include <stdio.h>
#include <string.h>

struct rd rd_over(const void *data, size_t len)
{
	return (struct rd){ .data = data, .len = len };
}

static const uint8_t *rd_take(struct rd *r, size_t len)
{
	const uint8_t *p = r->data + r->pos;

	if (r->bad || len > r->len - r->pos) {
		r->bad = true;
		return NULL;
	}
	r->pos += len;
	return p;
}

static uint64_t rd_le(struct rd *r, size_t len)
{
	const uint8_t *p = rd_take(r, len);
	uint64_t v = 0;

	for (size_t i = 0; p && i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint16_t rd_le16(struct rd *r)
{
	return (uint16_t)rd_le(r, 2);
}

uint32_t rd_le32(struct rd *r)
{
	return (uint32_t)rd_le(r, 4);
}

uint64_t rd_le64(struct rd *r)
{
	return rd_le(r, 8);
}

void rd_copy(struct rd *r, void *out, size_t len)
{
	const uint8_t *p = rd_take(r, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

void rd_skip(struct rd *r, size_t len)
{
	(void)rd_take(r, len);
}

void rd_zeros_until(struct rd *r, size_t pos)
{
	const uint8_t *p;
	size_t len;

	if (r->bad || pos < r->pos) {
		r->bad = true;
		return;
	}
	len = pos - r->pos;
	p = rd_take(r, len);
	if (p && !bytes_all_zero(p, len))
		r->bad = true;
}

struct wr wr_over(void *data, size_t len)
{
	return (struct wr){ .data = data, .len = len };
}

static uint8_t *wr_take(struct wr *w, size_t len)
{
	uint8_t *p = w->data + w->pos;

	if (w->bad || len > w->len - w->pos) {
		w->bad = true;
		return NULL;
	}
	w->pos += len;
	return p;
}

static void wr_le(struct wr *w, uint64_t v, size_t len)
{
	uint8_t *p = wr_take(w, len);

	for (size_t i = 0; p && i < len; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void wr_le16(struct wr *w, uint16_t v)
{
	wr_le(w, v, 2);
}

void wr_le32(struct wr *w, uint32_t v)
{
	wr_le(w, v, 4);
}

void wr_le64(struct wr *w, uint64_t v)
{
	wr_le(w, v, 8);
}

void wr_copy(struct wr *w, const void *in, size_t len)
{
	uint8_t *p = wr_take(w, len);

	if (p)
		memcpy(p, in, len);
}

void wr_zeros_until(struct wr *w, size_t pos)
{
	uint8_t *p;
	size_t len;

	if (w->bad || pos < w->pos) {
		w->bad = true;
		return;
	}
	len = pos - w->pos;
	p = wr_take(w, len);
	if (p)
		memset(p, 0, len);
}

bool bytes_all_zero(const void *data, size_t len)
{
	const uint8_t *p = data;

	/* The buffer equals itself shifted by one, and starts with zero. */
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

char *hex_encode(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(const char *text, uint8_t *out, size_t len)
{
	if (strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text[2 * i]);
		int low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

char *uuid_format(const uint8_t u[static 16], char out[static UUID_TEXT_LEN])
{
	(void)snprintf(out, UUID_TEXT_LEN,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
		       u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
		       u[13], u[14], u[15]);
	return out;
}
