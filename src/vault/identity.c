/* SPDX-License-Identifier: Apache-2.0 */
/* Which identity it is, and what it needs. */
#include "identity.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "azure_answer.h"
#include "challenge.h"

#define ID_CHARACTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_"

static struct secret *environment_secrets[2];
static pthread_once_t environment_once = PTHREAD_ONCE_INIT;

static struct secret *take_from_environment(const char *name)
{
	char *text = getenv(name);
	struct secret *s;
	size_t len;

	if (!text || !*text)
		return NULL;
	len = strlen(text);
	s = secret_new(len);
	if (s)
		memcpy(secret_bytes(s), text, len);
	secret_wipe(text, len); /* its place in environ stays readable in /proc */
	unsetenv(name);
	return s;
}

static void take_environment(void)
{
	environment_secrets[ENVIRONMENT_CLIENT_SECRET] =
		take_from_environment("AZURE_CLIENT_SECRET");
	environment_secrets[ENVIRONMENT_IDENTITY_HEADER] = take_from_environment("IDENTITY_HEADER");
}

const struct secret *identity_environment_secret(enum environment_secret which)
{
	pthread_once(&environment_once, take_environment);
	return environment_secrets[which];
}

static const char *setting(const char *configured, const char *variable)
{
	const char *value = configured ? configured : getenv(variable);

	return value && *value ? value : NULL;
}

/* As the SDKs' default chain: what is there decides; a managed identity needs nothing. */
static enum identity_kind guess_kind(const struct identity_settings *id)
{
	if (id->client_secret_file || identity_environment_secret(ENVIRONMENT_CLIENT_SECRET))
		return IDENTITY_CLIENT_SECRET;
	if (id->client_certificate_file)
		return IDENTITY_CERTIFICATE;
	return id->federated_token_file ? IDENTITY_WORKLOAD : IDENTITY_MANAGED;
}

static int missing(const char *kind, const char *key, const char *variable, struct errmsg *reterr)
{
	errmsg_next(reterr, "set \"%s\", or %s in the environment", key, variable);
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "identity = %s: %s is missing", kind,
			   key);
}

static int check(const struct identity_settings *id, struct errmsg *reterr)
{
	static const char *const kinds[] = {
		[IDENTITY_CLIENT_SECRET] = "client-secret",
		[IDENTITY_CERTIFICATE] = "certificate",
		[IDENTITY_WORKLOAD] = "workload",
	};
	const char *kind = kinds[id->kind];

	if (!id->client_id)
		return missing(kind, "client_id", "AZURE_CLIENT_ID", reterr);
	if (id->kind == IDENTITY_CLIENT_SECRET && !id->client_secret_file &&
	    !identity_environment_secret(ENVIRONMENT_CLIENT_SECRET))
		return missing(kind, "client_secret_file", "AZURE_CLIENT_SECRET", reterr);
	if (id->kind == IDENTITY_CERTIFICATE && !id->client_certificate_file)
		return missing(kind, "client_certificate_file", "AZURE_CLIENT_CERTIFICATE_PATH",
			       reterr);
	if (id->kind == IDENTITY_WORKLOAD && !id->federated_token_file)
		return missing(kind, "federated_token_file", "AZURE_FEDERATED_TOKEN_FILE", reterr);
	return 0;
}

/* Ids become part of URLs and JSON; those of the configuration were checked when it was read. */
static int check_id(const char *id, const char *variable, struct errmsg *reterr)
{
	if (!id || strspn(id, ID_CHARACTERS) == strlen(id))
		return 0;
	errmsg_next(reterr, "use letters, digits, '.', '-' and '_' only");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "%s: not an id", variable);
}

static int settle_authority(struct identity_settings *id, const char *configured,
			    struct errmsg *reterr)
{
	const char *url = setting(configured, "AZURE_AUTHORITY_HOST");

	if (url && !url_host(url, id->authority_host, sizeof(id->authority_host))) {
		errmsg_next(reterr, "give https://HOST");
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "authority_host %s: not an https URL", url);
	}
	return 0;
}

int identity_settle(const struct settings *s, struct identity_settings *ret_identity,
		    struct errmsg *reterr)
{
	struct identity_settings id = {
		.kind = s->identity,
		.tenant_id = setting(s->tenant_id, "AZURE_TENANT_ID"),
		.client_id = setting(s->client_id, "AZURE_CLIENT_ID"),
		.client_secret_file = s->client_secret_file,
		.client_certificate_file =
			setting(s->client_certificate_file, "AZURE_CLIENT_CERTIFICATE_PATH"),
		.federated_token_file =
			setting(s->federated_token_file, "AZURE_FEDERATED_TOKEN_FILE"),
		.ca_file = s->ca_file,
	};
	int r = settle_authority(&id, s->authority_host, reterr);

	if (r == 0)
		r = check_id(id.tenant_id, "AZURE_TENANT_ID", reterr);
	if (r == 0)
		r = check_id(id.client_id, "AZURE_CLIENT_ID", reterr);
	if (r < 0)
		return r;
	if (id.ca_file && access(id.ca_file, R_OK) < 0) {
		r = -errno;
		errmsg_next(reterr,
			    r == -EACCES ? "be root, who can read it"
					 : "put the roots there, in PEM, or correct \"ca_file\"");
		return errmsg_fail(reterr, r, EXIT_CODE_CONFIG, "ca_file %s: cannot open: %s",
				   id.ca_file, errno_text(r));
	}
	if (id.kind == IDENTITY_AUTO)
		id.kind = guess_kind(&id);
	if (identity_needs_authority(&id)) {
		r = check(&id, reterr);
		if (r < 0)
			return r;
	}
	*ret_identity = id;
	return 0;
}

bool identity_needs_authority(const struct identity_settings *id)
{
	return id->kind == IDENTITY_CLIENT_SECRET || id->kind == IDENTITY_CERTIFICATE ||
	       id->kind == IDENTITY_WORKLOAD;
}

enum vault_verdict identity_local_failure(struct vault_report *rep, const struct errmsg *error)
{
	*rep = (struct vault_report){ .verdict = VAULT_UNREACHABLE,
				      .error = *error,
				      .credential_alarm = true };
	return rep->verdict;
}

enum vault_verdict identity_ask(struct net *net, const struct clock *clock,
				const struct net_request *request, const char *what,
				struct token *ret_token, struct vault_report *rep)
{
	struct net_answer answer;
	const char *wrong;

	net_perform(net, request, &answer);
	if (azure_judge_token(&answer, what, rep) == VAULT_GRANTED) {
		wrong = token_parse(&answer, clock->boot_ms(), clock->now(), ret_token);
		if (wrong) /* what answered is not the token endpoint */
			azure_stranger(rep, what, wrong);
	}
	net_answer_release(&answer);
	return rep->verdict;
}

enum vault_verdict identity_token(const struct identity_settings *id, struct net *net,
				  const struct clock *clock, const struct token_wish *wish,
				  struct token *ret_token, struct vault_report *rep)
{
	if (identity_needs_authority(id))
		return identity_client_token(id, net, clock, wish, ret_token, rep);
	return identity_managed_token(id, net, clock, wish, ret_token, rep);
}
