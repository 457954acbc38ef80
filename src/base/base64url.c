/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/base64url.h"

#include <errno.h>
#include <stdlib.h>

static char to_char(unsigned v)
{
	if (v < 26)
		return (char)('A' + v);
	if (v < 52)
		return (char)('a' + v - 26);
	if (v < 62)
		return (char)('0' + v - 52);
	return v == 62 ? '-' : '_';
}

static int from_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

char *base64url_encode(const void *data, size_t len, char *out)
{
	const uint8_t *in = data;
	unsigned bits = 0, nbits = 0;
	char *p = out;

	for (size_t i = 0; i < len; i++) {
		bits = (bits << 8 | in[i]) & 0xffff;
		for (nbits += 8; nbits >= 6; nbits -= 6)
			*p++ = to_char(bits >> (nbits - 6) & 63);
	}
	if (nbits > 0)
		*p++ = to_char(bits << (6 - nbits) & 63);
	*p = '\0';
	return out;
}

char *base64url_encode_new(const void *data, size_t len)
{
	char *out = malloc(BASE64URL_LEN(len));

	return out ? base64url_encode(data, len, out) : NULL;
}

ssize_t base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t room)
{
	unsigned bits = 0, nbits = 0;
	size_t n = 0;

	for (size_t i = 0; i < text_len; i++) {
		int v = from_char(text[i]);

		if (v < 0)
			return -EBADMSG;
		bits = (bits << 6 | (unsigned)v) & 0xffff;
		nbits += 6;
		if (nbits < 8)
			continue;
		if (n == room)
			return -ENOSPC;
		nbits -= 8;
		out[n++] = (uint8_t)(bits >> nbits);
	}
	if (nbits == 6 || (bits & ((1u << nbits) - 1)) != 0)
		return -EBADMSG;
	return (ssize_t)n;
}
