/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authority: the OAuth2 token endpoint (client credentials, RFC 6749 4.4)
 * and the documents that Azure's identity libraries ask for first. Errors carry
 * AADSTS codes in Entra's form.
 */
#ifndef TDEFS_VAULT_OAUTH_H
#define TDEFS_VAULT_OAUTH_H

#include "identity.h"
#include "request.h"

/*
 * Another name of the tenant. Azure's libraries take it for a private authority's
 * and ask nobody else about the host (@azure/identity, getKnownAuthorities()).
 */
#define OAUTH_PRIVATE_TENANT "adfs"

/* Whether a path is the authority's. */
bool oauth_is_path(const char *path);

/* Always leaves an answer; rq->caller is filled as far as it is known. */
void oauth_call(struct request *rq, struct answer *a);

/* {error, error_description: "AADSTSnnn: text ...", error_codes, ...}. Returns 0. */
int oauth_error(struct request *rq, struct answer *a, unsigned status, const char *error,
		int aadsts, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/*
 * A signed assertion in place of a secret: 0 it proves `id`, ANSWERED when it
 * does not, or a negative errno.
 */
int assertion_check(struct request *rq, struct answer *a, const struct identity *id,
		    const char *assertion) WARN_UNUSED;

/* The client that an assertion says it is for, when the form does not; false: none. */
bool assertion_subject(const char *assertion, char *out, size_t len);

#endif
