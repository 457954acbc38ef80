/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "form.h"

#include <string.h>

#include "tdefs/base64url.h"

struct form form_new(size_t room)
{
	struct form f = { .bytes = secret_new(room) };

	f.bad = f.bytes == NULL;
	return f;
}

void form_release(struct form *f)
{
	secret_free(f->bytes);
	*f = (struct form){ .bad = true };
}

void form_bytes(struct form *f, const void *bytes, size_t len)
{
	f->bad = f->bad || len > secret_len(f->bytes) - f->len;
	if (f->bad)
		return;
	memcpy(secret_bytes(f->bytes) + f->len, bytes, len);
	f->len += len;
}

void form_text(struct form *f, const char *text)
{
	form_bytes(f, text, strlen(text));
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void form_escaped(struct form *f, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++) {
		const char escaped[3] = { '%', digits[p[i] >> 4], digits[p[i] & 15] };

		if (is_unreserved(p[i]))
			form_bytes(f, &p[i], 1);
		else
			form_bytes(f, escaped, sizeof(escaped));
	}
}

void form_base64url(struct form *f, const void *bytes, size_t len)
{
	/* The encoder ends with a NUL, for which there must be room. */
	f->bad = f->bad || BASE64URL_LEN(len) > secret_len(f->bytes) - f->len;
	if (f->bad)
		return;
	base64url_encode(bytes, len, (char *)secret_bytes(f->bytes) + f->len);
	f->len += BASE64URL_LEN(len) - 1;
}

void form_field(struct form *f, const char *name, const void *value, size_t len)
{
	if (f->len > 0)
		form_text(f, "&");
	form_text(f, name);
	form_text(f, "=");
	form_escaped(f, value, len);
}

struct secret *form_take(struct form *f)
{
	struct secret *s = f->bad ? NULL : secret_new(f->len);

	if (s)
		memcpy(secret_bytes(s), secret_view(f->bytes), f->len);
	return s;
}
