/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One member of a JSON object (RFC 8259), found in place: for answers that hold
 * a key or a token, which must not pass through a parser's heap. What holds no
 * secret is read with jansson. Pure; bounded in depth.
 */
#ifndef TDEFS_JSON_SCAN_H
#define TDEFS_JSON_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "tdefs/secret.h"

/* A value inside the text: of a string, what is between its quotes. */
struct json_span {
	enum json_span_kind { JSON_SPAN_STRING, JSON_SPAN_NUMBER, JSON_SPAN_OTHER } kind;
	const char *start;
	size_t len;
};

/*
 * The member `name` of the object that `text` is. The whole text is checked.
 * -EBADMSG: not one JSON object, nested too deeply, or with that member twice;
 * -ENOENT: without it. A name written with escapes is another name.
 */
int json_scan_member(const char *text, size_t len, const char *name,
		     struct json_span *ret_span) WARN_UNUSED;

/*
 * A string without escapes, as the bytes it stands for. -EBADMSG: another kind
 * of value, escapes, or (base64url) not base64url; -ENOMEM.
 */
int json_scan_secret(const struct json_span *span, struct secret **ret_secret) WARN_UNUSED;
int json_scan_secret_base64url(const struct json_span *span,
			       struct secret **ret_secret) WARN_UNUSED;

#endif
