/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are to a vault: a source of access tokens. Kinds: client secret, client
 * certificate, workload (federated token), managed (IMDS, App Service and
 * Container Apps, Azure Arc), none. Settings come from the configuration and,
 * where it is silent, from the AZURE_* environment.
 */
#ifndef TDEFS_VAULT_IDENTITY_H
#define TDEFS_VAULT_IDENTITY_H

#include "tdefs/vault.h"
#include "token.h"

/* What a token is wanted for. */
struct token_wish {
	const char *resource;	    /* https://vault.azure.net */
	const char *authority_host; /* "" for kinds that need none */
	const char *tenant;
	unsigned timeout_ms;
};

/* Settings with the environment filled in; strings are owned elsewhere, for the process's life. */
struct identity_settings {
	enum identity_kind kind; /* never IDENTITY_AUTO */
	const char *tenant_id;	 /* or NULL; so are all below */
	const char *client_id;
	const char *client_secret_file;
	const char *client_certificate_file;
	const char *federated_token_file;
	const char *ca_file;
	char authority_host[KID_HOST_MAX + 8]; /* host[:port]; "": by the vault's cloud */
};

/* -EINVAL, with a sentence: something that this kind needs is missing. */
int identity_settle(const struct settings *settings, struct identity_settings *ret_identity,
		    struct errmsg *reterr) WARN_UNUSED;

/* Whether tokens of this kind come from an authority of a tenant. */
bool identity_needs_authority(const struct identity_settings *identity);

/* Ask for a token. The verdict is on the identity, as DESIGN.md's contract has it. */
enum vault_verdict identity_token(const struct identity_settings *identity, struct net *net,
				  const struct clock *clock, const struct token_wish *wish,
				  struct token *ret_token, struct vault_report *ret_report);

/* The kinds, for identity_token(). */
enum vault_verdict identity_client_token(const struct identity_settings *identity, struct net *net,
					 const struct clock *clock, const struct token_wish *wish,
					 struct token *ret_token, struct vault_report *ret_report);
enum vault_verdict identity_managed_token(const struct identity_settings *identity, struct net *net,
					  const struct clock *clock, const struct token_wish *wish,
					  struct token *ret_token, struct vault_report *ret_report);

/*
 * A secret of the environment (AZURE_CLIENT_SECRET, IDENTITY_HEADER): read once,
 * removed from it, kept for the process's life. NULL: not set. Not thread-safe
 * before the first call has returned; main makes it before it starts threads.
 */
enum environment_secret { ENVIRONMENT_CLIENT_SECRET, ENVIRONMENT_IDENTITY_HEADER };
const struct secret *identity_environment_secret(enum environment_secret which);

/* Perform a token request, judge the answer and take the token from it. For the kinds. */
enum vault_verdict identity_ask(struct net *net, const struct clock *clock,
				const struct net_request *request, const char *what,
				struct token *ret_token, struct vault_report *ret_report);

/* A local failure before anything was asked: unreachable, with an alarm of the credential. */
enum vault_verdict identity_local_failure(struct vault_report *rep, const struct errmsg *error);

#endif
