/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an HTTP answer means: Key Vault's and Managed HSM's errors
 * (key-vault REST, "Service error codes"), and those of token endpoints. Pure.
 */
#ifndef TDEFS_VAULT_AZURE_ANSWER_H
#define TDEFS_VAULT_AZURE_ANSWER_H

#include <jansson.h>

#include "tdefs/net.h"
#include "tdefs/vault.h"

/* What holds no secret is read with jansson. */
static inline void cleanup_json_(json_t **j)
{
	json_decref(*j);
}
#define CLEANUP_JSON CLEANUP(cleanup_json_)

/*
 * The verdict on an answer of a vault, by status, error.code and the headers
 * that only a vault sets, never by text. `what` is the attempt, for people:
 * "unwrapKey with https://...". Writes the whole report. A 200 is granted if
 * it is JSON; its members are the caller's to check.
 */
enum vault_verdict azure_judge(const struct net_answer *a, const char *what,
			       struct vault_report *ret_report);

/* The same of an answer of a token endpoint (OAuth 2.0, RFC 6749, 5.2; AADSTS codes; IMDS). */
enum vault_verdict azure_judge_token(const struct net_answer *a, const char *what,
				     struct vault_report *ret_report);

/*
 * Text of others for logs, terminals and JSON: control characters become spaces,
 * what is not ASCII (and may be cut in the middle) a question mark. NULL: "".
 */
void azure_copy_text(char *out, size_t room, const char *text);

/* Worth asking again in this call: it was the network, the load or the service. */
bool azure_is_transient(const struct vault_report *rep);

/* An answer that is not of whom was asked: unreachable. */
enum vault_verdict azure_stranger(struct vault_report *rep, const char *what, const char *why);

/* Our own lack of memory: unreachable; it says nothing of the key or the credential. */
enum vault_verdict azure_no_memory(struct vault_report *rep);

/* A 200 whose contents are nonsense: broken. */
enum vault_verdict azure_nonsense(struct vault_report *rep, const char *what, const char *why);

/* Retry-After (RFC 9110, 10.2.3) as milliseconds from `now` (seconds since 1970); 0: none. */
uint64_t azure_retry_after_ms(const char *field, uint64_t now);

#endif
