/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP answers made of text, for tests of what is read of them. */
#ifndef TDEFS_TEST_ANSWERS_H
#define TDEFS_TEST_ANSWERS_H

#include <string.h>

#include "tdefs/net.h"

#define ANSWER_JSON "application/json; charset=utf-8"

/* As net_perform() leaves one: the body's memory is longer than the body. */
static inline struct net_answer answer_of_bytes(int status, const void *body, size_t len)
{
	struct net_answer a = { .status = status, .body = secret_new(len + 16), .body_len = len };

	if (a.body && len > 0)
		memcpy(secret_bytes(a.body), body, len);
	strcpy(a.content_type, ANSWER_JSON);
	return a;
}

static inline struct net_answer answer_of(int status, const char *body)
{
	return answer_of_bytes(status, body, strlen(body));
}

#endif
