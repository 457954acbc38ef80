/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/json_scan.h"

#define MARGIN_MS   ((uint64_t)5000)	      /* not used so shortly before it expires */
#define EARLY_MS    ((uint64_t)5 * 60 * 1000) /* a short-lived one is refreshed so early */
#define LONG_MS	    ((uint64_t)2 * 3600 * 1000)
#define SECONDS_MAX ((uint64_t)7 * 24 * 3600)

/* A count of seconds, as a number or, from IMDS and v1 endpoints, as a string; 0: none. */
static uint64_t seconds_member(const struct net_answer *a, const char *name)
{
	char digits[24];
	struct json_span span;
	char *end;
	uint64_t v;

	if (json_scan_member((const char *)secret_view(a->body), a->body_len, name, &span) < 0 ||
	    span.kind == JSON_SPAN_OTHER || span.len == 0 || span.len >= sizeof(digits))
		return 0;
	memcpy(digits, span.start, span.len);
	digits[span.len] = '\0';
	if (digits[0] < '0' || digits[0] > '9')
		return 0;
	v = strtoull(digits, &end, 10);
	return *end ? 0 : v;
}

static uint64_t lifetime(const struct net_answer *a, uint64_t now)
{
	uint64_t life = seconds_member(a, "expires_in");
	uint64_t on;

	if (life == 0) {
		on = seconds_member(a, "expires_on");
		life = on > now ? on - now : 0;
	}
	return life < SECONDS_MAX ? life : SECONDS_MAX;
}

static uint64_t early(uint64_t life_ms, uint64_t refresh_ms)
{
	if (refresh_ms > 0 && refresh_ms < life_ms)
		return refresh_ms;
	if (life_ms >= LONG_MS || life_ms <= 2 * EARLY_MS)
		return life_ms / 2;
	return life_ms - EARLY_MS;
}

const char *token_parse(const struct net_answer *a, uint64_t boot_ms, uint64_t now,
			struct token *ret_token)
{
	struct json_span span;
	struct token t = { 0 };
	uint64_t life_ms = lifetime(a, now) * 1000;
	uint64_t refresh = seconds_member(a, "refresh_in");
	int r = json_scan_member((const char *)secret_view(a->body), a->body_len, "access_token",
				 &span);

	if (r == 0)
		r = json_scan_secret(&span, &t.text);
	if (r == -ENOMEM)
		return "out of memory";
	if (r < 0 || secret_len(t.text) == 0 || life_ms == 0) {
		token_release(&t);
		return "the answer holds no token, or one without a lifetime";
	}
	t.expires_ms = boot_ms + life_ms;
	t.refresh_ms = boot_ms + early(life_ms, refresh < SECONDS_MAX ? refresh * 1000 : 0);
	*ret_token = t;
	return NULL;
}

void token_release(struct token *t)
{
	secret_free(t->text);
	*t = (struct token){ 0 };
}

bool token_is_usable(const struct token *t, uint64_t boot_ms)
{
	return t->text && boot_ms + MARGIN_MS < t->expires_ms;
}

bool token_is_due(const struct token *t, uint64_t boot_ms)
{
	return boot_ms >= t->refresh_ms;
}
