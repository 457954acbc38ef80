/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Recursive descent; the depth is bounded, so is the stack. */
#include "tdefs/json_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "tdefs/base64url.h"

#define DEPTH_MAX 32

struct scan {
	const char *at;
	const char *end;
	unsigned depth;
};

static bool value(struct scan *s, struct json_span *ret);

static void blanks(struct scan *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool escape(struct scan *s)
{
	if (s->at == s->end)
		return false;
	if (*s->at != 'u')
		return strchr("\"\\/bfnrt", *s->at) && *s->at++ != '\0';
	s->at++;
	for (int i = 0; i < 4; i++, s->at++)
		if (s->at == s->end || !*s->at || !strchr("0123456789abcdefABCDEF", *s->at))
			return false;
	return true;
}

/* Bytes of 0x80 and above are taken as they are: no member of ours has any. */
static bool string(struct scan *s, struct json_span *ret)
{
	const char *start;

	if (!take(s, '"'))
		return false;
	start = s->at;
	while (s->at < s->end && *s->at != '"') {
		if ((unsigned char)*s->at < 0x20)
			return false;
		if (take(s, '\\')) {
			if (!escape(s))
				return false;
		} else {
			s->at++;
		}
	}
	*ret = (struct json_span){ JSON_SPAN_STRING, start, (size_t)(s->at - start) };
	return take(s, '"');
}

static bool digits(struct scan *s)
{
	const char *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > start;
}

static bool number(struct scan *s, struct json_span *ret)
{
	const char *start = s->at;

	take(s, '-');
	if (!take(s, '0') && !digits(s))
		return false;
	if (take(s, '.') && !digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!digits(s))
			return false;
	}
	*ret = (struct json_span){ JSON_SPAN_NUMBER, start, (size_t)(s->at - start) };
	return true;
}

static bool word(struct scan *s, const char *w)
{
	size_t len = strlen(w);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, w, len) != 0)
		return false;
	s->at += len;
	return true;
}

/* One member; `wanted` NULL: none is looked for. */
static bool member(struct scan *s, const char *wanted, struct json_span *ret, unsigned *count)
{
	struct json_span name, v;

	blanks(s);
	if (!string(s, &name))
		return false;
	blanks(s);
	if (!take(s, ':') || !value(s, &v))
		return false;
	if (wanted && name.len == strlen(wanted) && memcmp(name.start, wanted, name.len) == 0) {
		*ret = v;
		(*count)++;
	}
	return true;
}

static bool object(struct scan *s, const char *wanted, struct json_span *ret, unsigned *count)
{
	if (!take(s, '{'))
		return false;
	blanks(s);
	if (take(s, '}'))
		return true;
	do {
		if (!member(s, wanted, ret, count))
			return false;
		blanks(s);
	} while (take(s, ','));
	return take(s, '}');
}

static bool array(struct scan *s)
{
	struct json_span ignored;

	if (!take(s, '['))
		return false;
	blanks(s);
	if (take(s, ']'))
		return true;
	do {
		if (!value(s, &ignored))
			return false;
		blanks(s);
	} while (take(s, ','));
	return take(s, ']');
}

static bool nested(struct scan *s)
{
	bool good;

	if (s->depth == DEPTH_MAX)
		return false;
	s->depth++;
	good = *s->at == '{' ? object(s, NULL, NULL, NULL) : array(s);
	s->depth--;
	return good;
}

static bool value(struct scan *s, struct json_span *ret)
{
	const char *start;
	bool good;

	blanks(s);
	start = s->at;
	if (s->at == s->end)
		return false;
	if (*s->at == '"')
		return string(s, ret);
	if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
		return number(s, ret);
	if (*s->at == '{' || *s->at == '[')
		good = nested(s);
	else
		good = word(s, "true") || word(s, "false") || word(s, "null");
	*ret = (struct json_span){ JSON_SPAN_OTHER, start, (size_t)(s->at - start) };
	return good;
}

int json_scan_member(const char *text, size_t len, const char *name, struct json_span *ret_span)
{
	struct scan s = { text, text + len, 0 };
	struct json_span found = { 0 };
	unsigned count = 0;

	blanks(&s);
	if (!object(&s, name, &found, &count))
		return -EBADMSG;
	blanks(&s);
	if (s.at != s.end || count > 1)
		return -EBADMSG;
	if (count == 0)
		return -ENOENT;
	*ret_span = found;
	return 0;
}

int json_scan_secret(const struct json_span *span, struct secret **ret_secret)
{
	struct secret *s;

	if (span->kind != JSON_SPAN_STRING || memchr(span->start, '\\', span->len))
		return -EBADMSG;
	s = secret_new(span->len);
	if (!s)
		return -ENOMEM;
	memcpy(secret_bytes(s), span->start, span->len);
	*ret_secret = s;
	return 0;
}

int json_scan_secret_base64url(const struct json_span *span, struct secret **ret_secret)
{
	CLEANUP_SECRET struct secret *s = NULL;
	size_t len = span->len / 4 * 3 + span->len % 4 * 3 / 4;

	if (span->kind != JSON_SPAN_STRING)
		return -EBADMSG;
	s = secret_new(len);
	if (!s)
		return -ENOMEM;
	if (base64url_decode(span->start, span->len, secret_bytes(s), len) != (ssize_t)len)
		return -EBADMSG;
	*ret_secret = TAKE_PTR(s);
	return 0;
}
