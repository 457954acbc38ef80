/* SPDX-License-Identifier: Apache-2.0 */
/* The token endpoint and discovery. What proves an identity by signature is assertion.c's. */
#include "oauth.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tdefs/log.h"

#include "form.h"
#include "token.h"

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static const char *const suffixes[] = {
	"/oauth2/v2.0/token",
	"/oauth2/token",
	"/v2.0/.well-known/openid-configuration",
	"/.well-known/openid-configuration",
	"/discovery/v2.0/keys",
	"/discovery/instance",
};

enum endpoint { TOKEN_V2, TOKEN_V1, CONFIGURATION_V2, CONFIGURATION_V1, KEYS, INSTANCE, NONE };

/* "/TENANT" followed by one of the suffixes. */
static enum endpoint endpoint_of(const char *path, char *tenant, size_t tenant_len)
{
	size_t len = path[0] == '/' ? strcspn(path + 1, "/") : 0;

	(void)snprintf(tenant, tenant_len, "%.*s", (int)len, len ? path + 1 : "");
	for (size_t i = 0; len && i < ARRAY_SIZE(suffixes); i++)
		if (strcasecmp(path + 1 + len, suffixes[i]) == 0)
			return (enum endpoint)i;
	return NONE;
}

bool oauth_is_path(const char *path)
{
	char tenant[128];

	return endpoint_of(path, tenant, sizeof(tenant)) != NONE;
}

int oauth_error(struct request *rq, struct answer *a, unsigned status, const char *error,
		int aadsts, const char *fmt, ...)
{
	char text[1024], when[32] = "", code[24];
	time_t now = (time_t)rq->now;
	struct tm tm;
	va_list args;
	int r;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%SZ", &tm);
	(void)snprintf(code, sizeof(code), "AADSTS%d", aadsts);
	r = answer_json(
		a, json_pack("{s:s, s:o, s:[i], s:s, s:s, s:s, s:o}", "error", error,
			     "error_description",
			     json_sprintf("%s: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
					  code, text, rq->id, rq->id, when),
			     "error_codes", aadsts, "timestamp", when, "trace_id", rq->id,
			     "correlation_id", rq->id, "error_uri",
			     json_sprintf("%s/error?code=%d", rq->base, aadsts)));
	a->status = status;
	(void)snprintf(a->result, sizeof(a->result), "%s", code);
	return r;
}

/* The tenant's documents name every address by the host that was asked. */
static int answer_configuration(struct request *rq, struct answer *a, const char *t, bool v2)
{
	const char *dot = v2 ? "/v2.0" : "";

	return answer_json(
		a,
		json_pack("{s:o, s:[s,s,s], s:o, s:o, s:o, s:[s], s:[s], s:[s], s:[s], s:s, s:s}",
			  "token_endpoint", json_sprintf("%s/%s/oauth2%s/token", rq->base, t, dot),
			  "token_endpoint_auth_methods_supported", "client_secret_post",
			  "private_key_jwt", "client_secret_basic", "jwks_uri",
			  json_sprintf("%s/%s/discovery/v2.0/keys", rq->base, t), "issuer",
			  json_sprintf("%s/%s%s", rq->base, t, v2 ? "/v2.0" : "/"),
			  "authorization_endpoint",
			  json_sprintf("%s/%s/oauth2%s/authorize", rq->base, t, dot),
			  "response_types_supported", "token", "subject_types_supported",
			  "pairwise", "id_token_signing_alg_values_supported", "RS256",
			  "scopes_supported", "openid", "tenant_region_scope", "WW",
			  "cloud_instance_name", "tdefs-vault"));
}

static int answer_instance(struct request *rq, struct answer *a)
{
	const char *host = rq->base + strlen("https://");

	return answer_json(a, json_pack("{s:o, s:s, s:[{s:s, s:s, s:[s]}]}",
					"tenant_discovery_endpoint",
					json_sprintf("%s/%s/v2.0/.well-known/openid-configuration",
						     rq->base, rq->vault->tenant),
					"api-version", "1.1", "metadata", "preferred_network", host,
					"preferred_cache", host, "aliases", host));
}

/* What one token request says. */
struct grant {
	char type[64], client_id[64], secret[256], scope[300], assertion[12288];
};

static void grant_release(struct grant *g)
{
	secret_wipe(g, sizeof(*g));
}

static int missing(struct request *rq, struct answer *a, const char *name)
{
	int r = oauth_error(rq, a, 400, "invalid_request", 900144,
			    "The request body must contain the following parameter: '%s'.", name);

	return r < 0 ? r : ANSWERED;
}

static int read_grant(struct request *rq, struct answer *a, bool v2, struct grant *g)
{
	const char *raw = rq->raw;
	size_t len = rq->raw_len;
	int r;

	if (!form_get(raw, len, "grant_type", g->type, sizeof(g->type)))
		return missing(rq, a, "grant_type");
	if (strcmp(g->type, "client_credentials") != 0) {
		r = oauth_error(rq, a, 400, "unsupported_grant_type", 70003,
				"The app requested an unsupported grant type '%s'.", g->type);
		return r < 0 ? r : ANSWERED;
	}
	if (!form_get(raw, len, v2 ? "scope" : "resource", g->scope, sizeof(g->scope)))
		return missing(rq, a, v2 ? "scope" : "resource");
	(void)form_get(raw, len, "client_secret", g->secret, sizeof(g->secret));
	(void)form_get(raw, len, "client_assertion", g->assertion, sizeof(g->assertion));
	if (!form_get(raw, len, "client_id", g->client_id, sizeof(g->client_id)) &&
	    !form_basic(rq->authorization, g->client_id, sizeof(g->client_id), g->secret,
			sizeof(g->secret)) &&
	    !assertion_subject(g->assertion, g->client_id, sizeof(g->client_id)))
		return missing(rq, a, "client_id");
	(void)snprintf(rq->caller.client_id, sizeof(rq->caller.client_id), "%.36s", g->client_id);
	for (char *p = rq->caller.client_id; *p; p++)
		if ((unsigned char)*p >= 0x80 || *p < ' ')
			*p = '?'; /* it goes into the audit log */
	return 0;
}

/* The audience that a scope or resource asks for: this vault's, or nothing. */
static int take_audience(struct request *rq, struct answer *a, bool v2, const struct grant *g)
{
	const char *resource = rq->vault->resource, *rest = g->scope;
	size_t len = strlen(resource);
	int r;

	if (strncmp(g->scope, resource, len) == 0)
		rest = g->scope + len;
	else
		len = 0;
	if (len && (v2 ? strcmp(rest, "/.default") == 0 || strcmp(rest, "//.default") == 0
		       : *rest == '\0' || strcmp(rest, "/") == 0))
		return 0;
	if (v2 && !strstr(g->scope, "/.default"))
		r = oauth_error(
			rq, a, 400, "invalid_scope", 1002012,
			"The provided value for scope %s is not valid. Client credential flows "
			"must have a scope value with /.default suffixed to the resource "
			"identifier (application ID URI).",
			g->scope);
	else
		r = oauth_error(
			rq, a, 400, "invalid_resource", 500011,
			"The resource principal named %s was not found in the tenant named %s. "
			"This can happen if the application has not been installed by the "
			"administrator of the tenant or consented to by any user in the tenant. "
			"You might have sent your authentication request to the wrong tenant.",
			g->scope, rq->vault->tenant);
	return r < 0 ? r : ANSWERED;
}

static int check_secret(struct request *rq, struct answer *a, const struct identity *id,
			const char *secret)
{
	uint8_t hash[SHA256_LEN];
	bool equal;
	int r = sha256(secret, strlen(secret), hash);

	if (r < 0)
		return r;
	equal = constant_time_equal(hash, id->secret_hash, sizeof(hash)) && id->has_secret;
	if (!equal)
		r = oauth_error(
			rq, a, 401, "invalid_client", 7000215,
			"Invalid client secret provided. Ensure the secret being sent in the "
			"request is the client secret value, not the client secret ID, for a "
			"secret added to app '%s'.",
			id->client_id);
	else if (id->secret_expires && id->secret_expires <= rq->now)
		r = oauth_error(
			rq, a, 401, "invalid_client", 7000222,
			"The provided client secret keys for app '%s' are expired. Create new "
			"keys for your app, or consider using certificate credentials.",
			id->client_id);
	else
		return 0;
	return r < 0 ? r : ANSWERED;
}

static int check_proof(struct request *rq, struct answer *a, const struct identity *id,
		       const struct grant *g)
{
	int r;

	if (g->assertion[0])
		return assertion_check(rq, a, id, g->assertion);
	if (g->secret[0])
		return check_secret(rq, a, id, g->secret);
	r = oauth_error(
		rq, a, 401, "invalid_client", 7000218,
		"The request body must contain the following parameter: 'client_assertion' or "
		"'client_secret'.");
	return r < 0 ? r : ANSWERED;
}

static int find_client(struct request *rq, struct answer *a, const char *client_id,
		       struct identity *id)
{
	int r = identity_by_client_id(rq->db, client_id, id);

	if (r == 1) {
		(void)snprintf(rq->caller.name, sizeof(rq->caller.name), "%s", id->name);
		(void)snprintf(rq->caller.oid, sizeof(rq->caller.oid), "%s", id->oid);
		return 0;
	}
	if (r == 0)
		r = oauth_error(
			rq, a, 400, "unauthorized_client", 700016,
			"Application with identifier '%s' was not found in the directory '%s'. "
			"This can happen if the application has not been installed by the "
			"administrator of the tenant or consented to by any user in the tenant. "
			"You may have sent your authentication request to the wrong tenant.",
			client_id, rq->vault->tenant);
	return r < 0 ? r : ANSWERED;
}

static int answer_token(struct request *rq, struct answer *a, const struct identity *id, bool v2)
{
	CLEANUP_FREE char *token = NULL;
	json_int_t life = rq->vault->token_lifetime;
	int r = token_issue(rq->vault, id, rq->base, rq->vault->resource, rq->now, &token);

	if (r < 0)
		return r;
	if (v2)
		r = answer_json(a, json_pack("{s:s, s:I, s:I, s:s}", "token_type", "Bearer",
					     "expires_in", life, "ext_expires_in", life,
					     "access_token", token));
	else
		r = answer_json(a,
				json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:s}", "token_type",
					  "Bearer", "expires_in",
					  json_sprintf("%lld", (long long)life), "ext_expires_in",
					  json_sprintf("%lld", (long long)life), "expires_on",
					  json_sprintf("%lld", (long long)(rq->now + life)),
					  "not_before", json_sprintf("%lld", (long long)rq->now),
					  "resource", rq->vault->resource, "access_token", token));
	secret_wipe(token, strlen(token));
	return r;
}

static int call_token(struct request *rq, struct answer *a, bool v2)
{
	CLEANUP(grant_release) struct grant g = { 0 };
	CLEANUP_IDENTITY struct identity id = { 0 };
	int r = read_grant(rq, a, v2, &g);

	if (r == 0)
		r = find_client(rq, a, g.client_id, &id);
	if (r == 0)
		r = check_proof(rq, a, &id, &g);
	if (r == 0)
		r = take_audience(rq, a, v2, &g);
	return r != 0 ? r : answer_token(rq, a, &id, v2);
}

static int call(struct request *rq, struct answer *a)
{
	char tenant[128];
	enum endpoint e = endpoint_of(rq->path, tenant, sizeof(tenant));
	bool private_authority = strcasecmp(tenant, OAUTH_PRIVATE_TENANT) == 0;

	if (e == INSTANCE)
		return answer_instance(rq, a);
	if (!private_authority && strcasecmp(tenant, rq->vault->tenant) != 0)
		return oauth_error(
			rq, a, 400, "invalid_request", 90002,
			"Tenant '%s' not found. Check to make sure you have the correct "
			"tenant ID and are signing into the correct cloud. Check with your "
			"subscription administrator, this may happen if there are no active "
			"subscriptions for the tenant.",
			tenant);
	if (e == CONFIGURATION_V1 || e == CONFIGURATION_V2)
		return answer_configuration(rq, a,
					    private_authority ? OAUTH_PRIVATE_TENANT
							      : rq->vault->tenant,
					    private_authority || e == CONFIGURATION_V2);
	if (e == KEYS)
		return answer_json(a, json_pack("{s:[]}", "keys"));
	if (strcmp(rq->method, "POST") != 0)
		return oauth_error(
			rq, a, 405, "invalid_request", 900561,
			"The endpoint only accepts POST requests. Received a %s request.",
			rq->method);
	rq->operation = "Token";
	return call_token(rq, a, e == TOKEN_V2);
}

void oauth_call(struct request *rq, struct answer *a)
{
	int r = call(rq, a);

	if (r < 0) {
		log_error("request %s: token endpoint: %s", rq->id, errno_text(r));
		r = oauth_error(rq, a, 503, "temporarily_unavailable", 90033,
				"A transient error has occurred. Please try again.");
	}
	if (r < 0)
		a->status = 503;
}
