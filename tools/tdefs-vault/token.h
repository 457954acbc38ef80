/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tokens: JSON Web Tokens (RFC 7519) that this vault issues and checks,
 * HS256 under a key that is kept under the master key. And the parts of a token
 * that somebody else signed.
 */
#ifndef TDEFS_VAULT_TOKEN_H
#define TDEFS_VAULT_TOKEN_H

#include "identity.h"
#include "request.h"

/* The three parts, decoded and split; nothing is believed yet. */
struct jwt {
	json_t *header, *payload;
	const char *text; /* what is signed: header.payload */
	size_t text_len;
	uint8_t signature[512];
	size_t signature_len;
};

/* -EINVAL when it is no token. `text` must outlive it. */
int jwt_parse(const char *text, struct jwt *ret_jwt) WARN_UNUSED;
void jwt_release(struct jwt *jwt);

/* A new string; `audience` as the caller asked for it. */
int token_issue(const struct vault *v, const struct identity *id, const char *base,
		const char *audience, int64_t now, char **ret_token) WARN_UNUSED;

/* Fill rq->caller, or answer a 401 with the challenge. */
int token_check(struct request *rq, struct answer *a) WARN_UNUSED;

static inline void cleanup_jwt_(struct jwt *jwt)
{
	jwt_release(jwt);
}
#define CLEANUP_JWT CLEANUP(cleanup_jwt_)

#endif
