/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call to a vault of Azure's kind, with everything around it: the token, a
 * challenge, one new token after a 401, back-off, and the time it may take.
 */
#ifndef TDEFS_VAULT_AZURE_CALL_H
#define TDEFS_VAULT_AZURE_CALL_H

#include "identity.h"
#include "tdefs/net.h"
#include "tdefs/vault.h"

struct azure_session;

/* Of the vault that `kid` lies in. */
int azure_session_new(const struct kid *kid, const struct settings *settings,
		      const struct clock *clock, struct azure_session **ret_session,
		      struct errmsg *reterr) WARN_UNUSED;
void azure_session_free(struct azure_session *s); /* wipes; accepts NULL */

/* Who we are to it (vault_ops.describe). */
void azure_session_describe(struct azure_session *s, struct vault_identity *ret_identity);

struct azure_request {
	const char *what; /* for people: "unwrapKey with https://..." */
	const char *url;
	const struct secret *body; /* JSON: POST; NULL: GET */
	unsigned timeout_ms;
};

/*
 * Ask until there is an answer of the vault or the time is over. The answer, of
 * status 200 and JSON, is the caller's to release when the verdict is granted.
 * Thread-safe.
 */
enum vault_verdict azure_call(struct azure_session *s, const struct azure_request *request,
			      struct net_answer *ret_answer, struct vault_report *ret_report);

#endif
