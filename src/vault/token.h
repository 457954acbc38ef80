/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens: what one is, how an answer gives one, and how long it is used. Pure. */
#ifndef TDEFS_VAULT_TOKEN_H
#define TDEFS_VAULT_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "tdefs/net.h"
#include "tdefs/secret.h"

struct token {
	struct secret *text; /* NULL: none */
	uint64_t expires_ms; /* on the boot clock */
	uint64_t refresh_ms; /* a new one is asked for from here on, without need */
};

/*
 * The token of an answer with status 200, at `boot_ms` and `now` (seconds since
 * 1970; some endpoints give a date instead of a lifetime). NULL, or why it is none.
 */
const char *token_parse(const struct net_answer *a, uint64_t boot_ms, uint64_t now,
			struct token *ret_token);

void token_release(struct token *t);
bool token_is_usable(const struct token *t, uint64_t boot_ms);
bool token_is_due(const struct token *t, uint64_t boot_ms); /* for an early refresh */

#endif
