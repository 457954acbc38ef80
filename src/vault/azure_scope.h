/* SPDX-License-Identifier: Apache-2.0 */
/* Where tokens for a vault come from and what for: known, or by its challenge. Pure. */
#ifndef TDEFS_VAULT_AZURE_SCOPE_H
#define TDEFS_VAULT_AZURE_SCOPE_H

#include "challenge.h"
#include "identity.h"

/* Found once, and again after a 401. */
struct azure_scope {
	char resource[KID_VAULT_MAX];
	char authority_host[KID_HOST_MAX + 8];
	char tenant[128];
};

/* What is known without asking; `host` is the vault's. */
struct azure_scope azure_scope_known(const struct identity_settings *identity, const char *host);

bool azure_scope_is_complete(const struct azure_scope *scope,
			     const struct identity_settings *identity);

/* Take what a challenge says into a scope; NULL, or why that must not be. */
const char *azure_scope_accept(struct azure_scope *scope, const struct identity_settings *identity,
			       const char *host, const struct challenge *challenge);

#endif
