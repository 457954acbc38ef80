/* SPDX-License-Identifier: Apache-2.0 */
/* Forms and Basic credentials decoded. Pure. */
#include "form.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "tdefs/secret.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(const char *in, size_t len, char *out, size_t out_len)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		char c = in[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = i + 2 < len ? hex_digit(in[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(in[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0' || used + 1 == out_len)
			return false;
		out[used++] = c;
	}
	out[used] = '\0';
	return used > 0;
}

bool form_get(const char *raw, size_t len, const char *name, char *out, size_t out_len)
{
	size_t name_len = strlen(name);
	const char *at = raw, *end = raw + len;

	out[0] = '\0';
	while (raw && at < end) {
		const char *amp = memchr(at, '&', (size_t)(end - at));
		size_t n = (size_t)((amp ? amp : end) - at);

		if (n > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=') {
			if (decode(at + name_len + 1, n - name_len - 1, out, out_len))
				return true;
			out[0] = '\0';
			return false;
		}
		at += n + 1;
	}
	return false;
}

bool form_basic(const char *authorization, char *id, size_t id_len, char *secret, size_t secret_len)
{
	uint8_t plain[1024];
	size_t len = authorization ? strlen(authorization) : 0;
	const char *colon;
	bool ok = false;
	int n;

	if (len <= 6 || len > 1024 || strncasecmp(authorization, "Basic ", 6) != 0)
		return false;
	n = EVP_DecodeBlock(plain, (const uint8_t *)authorization + 6, (int)len - 6);
	while (n > 0 && plain[n - 1] == '\0')
		n--; /* EVP_DecodeBlock counts the padding */
	colon = n > 0 ? memchr(plain, ':', (size_t)n) : NULL;
	if (colon) {
		size_t before = (size_t)(colon - (const char *)plain);

		ok = decode((const char *)plain, before, id, id_len) &&
		     decode(colon + 1, (size_t)n - before - 1, secret, secret_len);
	}
	secret_wipe(plain, sizeof(plain));
	return ok;
}
