/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of a managed identity, from an endpoint of the machine itself: IMDS on
 * a virtual machine, App Service and Container Apps, Azure Arc. Never by a
 * proxy. Which one it is shows by the environment, in the SDKs' order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "azure_answer.h"
#include "form.h"
#include "identity.h"
#include "tdefs/secret_file.h"

#define IMDS_HOST      "http://169.254.169.254"
#define IMDS_PATH      "/metadata/identity/oauth2/token"
#define ARC_AGENT      "/opt/azcmagent/bin/himds"
#define ARC_ENDPOINT   "http://127.0.0.1:40342" IMDS_PATH
#define ARC_TOKENS     "/var/opt/azcmagent/tokens/"
#define ARC_KEY_SUFFIX ".key"
#define ARC_KEY_MAX    4096
#define ANSWER_MAX     ((size_t)256 * 1024)
#define URL_MAX	       2048

static enum vault_verdict bad_setting(struct vault_report *rep, const char *what)
{
	struct errmsg error = { 0 };

	errmsg_next(&error, "check the environment that the platform gives this process");
	(void)errmsg_fail(&error, -EINVAL, EXIT_CODE_CONFIG, "managed identity: %s", what);
	return identity_local_failure(rep, &error);
}

/* BASE?api-version=V&resource=R[&client_id=C]; false: too long, or no http URL. */
static bool make_url(const struct identity_settings *id, const char *base, const char *version,
		     const struct token_wish *wish, char url[static URL_MAX])
{
	struct form f = form_new(URL_MAX - 1);
	bool good;

	form_field(&f, "api-version", version, strlen(version));
	form_field(&f, "resource", wish->resource, strlen(wish->resource));
	if (id->client_id)
		form_field(&f, "client_id", id->client_id, strlen(id->client_id));
	good = !f.bad &&
	       snprintf(url, URL_MAX, "%s?%.*s", base, (int)f.len,
			(const char *)secret_view(f.bytes)) < URL_MAX &&
	       (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0);
	form_release(&f);
	return good;
}

static struct net_request request_of(const char *url, const struct token_wish *wish)
{
	return (struct net_request){ .method = "GET",
				     .url = url,
				     .plain_http = strncasecmp(url, "http://", 7) == 0,
				     .timeout_ms = wish->timeout_ms,
				     .answer_max = ANSWER_MAX };
}

static enum vault_verdict imds_token(const struct identity_settings *id, struct net *net,
				     const struct clock *clock, const struct token_wish *wish,
				     struct token *ret_token, struct vault_report *rep)
{
	const char *host = getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST");
	char base[URL_MAX], url[URL_MAX];
	struct net_request request;

	if (snprintf(base, sizeof(base), "%s%s", host && *host ? host : IMDS_HOST, IMDS_PATH) >=
		    (int)sizeof(base) ||
	    !make_url(id, base, "2018-02-01", wish, url))
		return bad_setting(rep, "AZURE_POD_IDENTITY_AUTHORITY_HOST is no URL");
	request = request_of(url, wish);
	request.headers[0] = (struct net_header){ "Metadata", "true" };
	return identity_ask(net, clock, &request, "token of the managed identity (IMDS)", ret_token,
			    rep);
}

static enum vault_verdict app_service_token(const struct identity_settings *id, struct net *net,
					    const struct clock *clock,
					    const struct token_wish *wish, struct token *ret_token,
					    struct vault_report *rep)
{
	const struct secret *header = identity_environment_secret(ENVIRONMENT_IDENTITY_HEADER);
	CLEANUP_SECRET struct secret *text = secret_new(secret_len(header) + 1);
	char url[URL_MAX];
	struct net_request request;

	if (!text || !make_url(id, getenv("IDENTITY_ENDPOINT"), "2019-08-01", wish, url))
		return bad_setting(rep, "IDENTITY_ENDPOINT is no URL");
	memcpy(secret_bytes(text), secret_view(header), secret_len(header));
	request = request_of(url, wish);
	request.headers[0] =
		(struct net_header){ "X-IDENTITY-HEADER", (const char *)secret_view(text) };
	return identity_ask(net, clock, &request, "token of the managed identity (App Service)",
			    ret_token, rep);
}

/* Basic realm=PATH: where the agent has put what we must prove that we can read. */
static bool arc_key_path(const struct net_answer *a, char *path, size_t room)
{
	static const char scheme[] = "Basic realm=";
	const char *at = a->www_authenticate;
	size_t len, suffix = strlen(ARC_KEY_SUFFIX), prefix = strlen(ARC_TOKENS);

	if (a->status != 401 || strncasecmp(at, scheme, strlen(scheme)) != 0)
		return false;
	at += strlen(scheme);
	at += *at == '"';
	len = strcspn(at, "\"");
	if (len >= room || len <= prefix + suffix || strncmp(at, ARC_TOKENS, prefix) != 0 ||
	    memchr(at + prefix, '/', len - prefix) ||
	    strncmp(at + len - suffix, ARC_KEY_SUFFIX, suffix) != 0)
		return false;
	memcpy(path, at, len);
	path[len] = '\0';
	return true;
}

/* "Basic KEY", with a final NUL; without a line end, which a header cannot have. */
static int arc_authorization(const char *path, struct secret **ret_value, struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *key = NULL;
	struct secret *value;
	size_t len;
	int r = secret_file_read("Azure Arc key", path, ARC_KEY_MAX, SECRET_FILE_PROJECTED, &key,
				 reterr);

	if (r < 0)
		return r;
	len = secret_len(key);
	while (len > 0 && strchr("\r\n", secret_view(key)[len - 1]))
		len--;
	value = secret_new(6 + len + 1);
	if (!value)
		return -ENOMEM;
	memcpy(secret_bytes(value), "Basic ", 6);
	memcpy(secret_bytes(value) + 6, secret_view(key), len);
	*ret_value = value;
	return 0;
}

static enum vault_verdict arc_token(const struct identity_settings *id, struct net *net,
				    const struct clock *clock, const struct token_wish *wish,
				    struct token *ret_token, struct vault_report *rep)
{
	const char *endpoint = getenv("IDENTITY_ENDPOINT");
	const struct identity_settings system_assigned = { .kind = id->kind };
	CLEANUP_SECRET struct secret *authorization = NULL;
	struct errmsg error = { 0 };
	struct net_answer challenge;
	struct net_request request;
	char url[URL_MAX], path[256];
	bool found;

	if (!make_url(&system_assigned, endpoint && *endpoint ? endpoint : ARC_ENDPOINT,
		      "2020-06-01", wish, url))
		return bad_setting(rep, "IDENTITY_ENDPOINT is no URL");
	request = request_of(url, wish);
	request.headers[0] = (struct net_header){ "Metadata", "true" };
	net_perform(net, &request, &challenge);
	found = arc_key_path(&challenge, path, sizeof(path));
	if (!found && challenge.failure != NET_ANSWERED) {
		enum vault_verdict v =
			azure_judge_token(&challenge, "token of the managed identity (Azure Arc)",
					  rep);

		net_answer_release(&challenge);
		return v;
	}
	net_answer_release(&challenge);
	if (!found)
		return bad_setting(rep, "the Azure Arc agent gave no challenge of its own");
	if (arc_authorization(path, &authorization, &error) < 0)
		return identity_local_failure(rep, &error);
	request.headers[1] =
		(struct net_header){ "Authorization", (const char *)secret_view(authorization) };
	return identity_ask(net, clock, &request, "token of the managed identity (Azure Arc)",
			    ret_token, rep);
}

enum vault_verdict identity_managed_token(const struct identity_settings *id, struct net *net,
					  const struct clock *clock, const struct token_wish *wish,
					  struct token *ret_token, struct vault_report *rep)
{
	bool endpoint = getenv("IDENTITY_ENDPOINT") != NULL;

	if (endpoint && identity_environment_secret(ENVIRONMENT_IDENTITY_HEADER))
		return app_service_token(id, net, clock, wish, ret_token, rep);
	if ((endpoint && getenv("IMDS_ENDPOINT")) || access(ARC_AGENT, F_OK) == 0)
		return arc_token(id, net, clock, wish, ret_token, rep);
	return imds_token(id, net, clock, wish, ret_token, rep);
}
