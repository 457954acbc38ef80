/* SPDX-License-Identifier: Apache-2.0 */
/* Names and paths, which are bytes, as text for JSON and terminals; and back. */
#include "tdefs/text.h"

#include <errno.h>
#include <string.h>

#include "tdefs/bytes.h"

#define ESCAPE_LEN 4 /* \xNN */

/* Length of the UTF-8 character at `s` if it can be shown as it is, else 0. */
static size_t shown_len(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c = len > 1 ? s[0] & (0xffu >> (len + 1)) : s[0];

	if (len == 0 || s[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == '\\' ? 0 : len;
}

char *text_escape(const char *bytes, char *out, size_t room)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)bytes;
	size_t at = 0;

	while (*s) {
		size_t len = shown_len(s), need = len ? len : ESCAPE_LEN;

		if (at + need >= room)
			break;
		if (len)
			memcpy(out + at, s, len);
		else
			memcpy(out + at,
			       (char[ESCAPE_LEN]){ '\\', 'x', digits[*s >> 4], digits[*s & 15] },
			       ESCAPE_LEN);
		at += need;
		s += len ? len : 1;
	}
	out[at] = '\0';
	return out;
}

char *text_new(const char *bytes)
{
	size_t room = strlen(bytes) * ESCAPE_LEN + 1;
	char *out = malloc(room);

	return out ? text_escape(bytes, out, room) : NULL;
}

int text_unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; out++) {
		char pair[3] = "";

		if (*in != '\\') {
			*out = *in++;
			continue;
		}
		if (in[1] != 'x' || !in[2] || !in[3])
			return -EINVAL;
		memcpy(pair, in + 2, 2);
		if (!hex_decode(pair, (uint8_t *)out, 1) || *out == '\0')
			return -EINVAL;
		in += ESCAPE_LEN;
	}
	*out = '\0';
	return 0;
}

void text_escape_message(struct errmsg *e)
{
	struct errmsg raw = *e;

	text_escape(raw.text, e->text, sizeof(e->text));
	text_escape(raw.next, e->next, sizeof(e->next));
}
