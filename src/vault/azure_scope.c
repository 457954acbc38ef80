/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "azure_scope.h"

#include <stdio.h>
#include <string.h>

#include "cloud.h"

struct azure_scope azure_scope_known(const struct identity_settings *identity, const char *host)
{
	const struct cloud *cloud = cloud_of_host(host);
	const char *authority = identity->authority_host;
	struct azure_scope scope = { 0 };

	if (cloud)
		(void)snprintf(scope.resource, sizeof(scope.resource), "%s", cloud->resource);
	if (!authority[0] && cloud)
		authority = cloud->authority_host;
	(void)snprintf(scope.authority_host, sizeof(scope.authority_host), "%s", authority);
	if (identity->tenant_id)
		(void)snprintf(scope.tenant, sizeof(scope.tenant), "%s", identity->tenant_id);
	return scope;
}

bool azure_scope_is_complete(const struct azure_scope *scope,
			     const struct identity_settings *identity)
{
	return scope->resource[0] && (!identity_needs_authority(identity) ||
				      (scope->authority_host[0] && scope->tenant[0]));
}

/*
 * A challenge decides nothing but the tenant, and for vaults of no known cloud
 * the resource: a token goes only to a host under its resource, a credential
 * only to a known or configured authority. A vault that is its own configured
 * authority may name any resource: a token that it issues is good at that vault
 * only. A managed identity's is issued by others.
 */
const char *azure_scope_accept(struct azure_scope *scope, const struct identity_settings *identity,
			       const char *host, const struct challenge *c)
{
	bool asks_authority = identity_needs_authority(identity);
	bool own = asks_authority && strcmp(identity->authority_host, host) == 0;
	const char *authority = identity->authority_host;

	if (!own && !challenge_resource_covers(c->resource, host))
		return "its challenge asks for a token of another resource (a vault that issues "
		       "its own tokens wants \"authority_host\" set to it)";
	if (asks_authority && !authority[0] && !cloud_is_authority(c->authority_host))
		return "its challenge names an authority that is neither Azure's nor configured";
	if (!scope->resource[0])
		(void)snprintf(scope->resource, sizeof(scope->resource), "%s", c->resource);
	if (!scope->authority_host[0])
		(void)snprintf(scope->authority_host, sizeof(scope->authority_host), "%s",
			       authority[0] ? authority : c->authority_host);
	if (!scope->tenant[0])
		(void)snprintf(scope->tenant, sizeof(scope->tenant), "%s", c->tenant);
	return NULL;
}
