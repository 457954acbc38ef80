/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: the scanner against jansson. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "fuzz.h"
#include "tdefs/json_scan.h"

#define NAME	  "value"
#define DEPTH_MAX 32

static unsigned depth_of(const json_t *v)
{
	const json_t *entry;
	const char *key;
	unsigned deepest = 0;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach((json_t *)(uintptr_t)v, key, entry) deepest =
			depth_of(entry) > deepest ? depth_of(entry) : deepest;
		return deepest + 1;
	}
	if (!json_is_array(v))
		return 0;
	json_array_foreach(v, i, entry) deepest =
		depth_of(entry) > deepest ? depth_of(entry) : deepest;
	return deepest + 1;
}

/* What jansson takes, the scanner takes, and reads the same; but for depth, and names in escapes. */
static void compare(const json_t *object, const char *text, size_t len, int r,
		    const struct json_span *span)
{
	const json_t *member = json_object_get(object, NAME);

	if (r == -EBADMSG) {
		/* jansson 2.14 overlooks a NUL after a number. */
		assert(depth_of(object) > DEPTH_MAX || memchr(text, '\0', len));
		return;
	}
	if (r == -ENOENT) {
		assert(!member || memchr(text, '\\', len));
		return;
	}
	assert(r == 0 && member);
	assert((span->kind == JSON_SPAN_STRING) == json_is_string(member));
	assert((span->kind == JSON_SPAN_NUMBER) == json_is_number(member));
	if (!json_is_string(member) || memchr(span->start, '\\', span->len))
		return;
	assert(span->len == json_string_length(member));
	assert(memcmp(span->start, json_string_value(member), span->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t before = secret_count();
	struct json_span span;
	struct secret *secret = NULL;
	json_t *parsed;
	int r = json_scan_member(text, size, NAME, &span);

	assert(r == 0 || r == -EBADMSG || r == -ENOENT);
	if (r == 0) {
		assert(span.start >= text && span.len <= size &&
		       span.start + span.len <= text + size);
		if (json_scan_secret(&span, &secret) == 0)
			assert(secret_len(secret) == span.len);
		secret_free(secret);
		secret = NULL;
		if (json_scan_secret_base64url(&span, &secret) == 0)
			assert(secret_len(secret) == span.len * 6 / 8);
		secret_free(secret);
	}
	assert(secret_count() == before);
	/* Deeply nested texts would cost depth_of() too much. */
	if (size > 4096)
		return 0;
	parsed = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(parsed))
		compare(parsed, text, size, r, &span);
	json_decref(parsed);
	return 0;
}
