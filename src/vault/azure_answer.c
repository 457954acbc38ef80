/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Error answers hold no secret: jansson reads them. */
#include "azure_answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define INNER_DEPTH_MAX	   8
#define RETRY_AFTER_MAX_MS ((uint64_t)3600 * 1000)

static json_t *parse(const struct net_answer *a)
{
	return a->body_len ? json_loadb((const char *)secret_view(a->body), a->body_len,
					JSON_REJECT_DUPLICATES, NULL)
			   : NULL;
}

void azure_copy_text(char *out, size_t room, const char *text)
{
	(void)snprintf(out, room, "%s", text ? text : "");
	for (; *out; out++) {
		if ((unsigned char)*out < 0x20 || *out == 0x7f)
			*out = ' ';
		else if ((unsigned char)*out > 0x7f)
			*out = '?';
	}
}

static enum vault_verdict conclude(struct vault_report *rep, enum vault_verdict verdict, int r,
				   const char *what, const char *why, const char *next)
{
	rep->verdict = verdict;
	errmsg_next(&rep->error, "%s", next);
	(void)errmsg_fail(&rep->error, r, EXIT_CODE_FAILED, "%s: %s%s%s%s%s%s", what, why,
			  rep->code[0] ? " (" : "", rep->code, rep->inner_code[0] ? "/" : "",
			  rep->inner_code, rep->code[0] ? ")" : "");
	return verdict;
}

enum vault_verdict azure_nonsense(struct vault_report *rep, const char *what, const char *why)
{
	return conclude(rep, VAULT_BROKEN, -EPROTO, what, why,
			"check that this address is the key vault and no proxy");
}

enum vault_verdict azure_no_memory(struct vault_report *rep)
{
	*rep = (struct vault_report){ 0 };
	return conclude(rep, VAULT_UNREACHABLE, -ENOMEM, "key vault", "out of memory for a request",
			"free memory, raise RLIMIT_MEMLOCK, then try again");
}

enum vault_verdict azure_stranger(struct vault_report *rep, const char *what, const char *why)
{
	return conclude(rep, VAULT_UNREACHABLE, -ENOKEY, what, why,
			"find out what answers in the vault's place: a proxy, or a portal");
}

static void take_headers(const struct net_answer *a, struct vault_report *rep)
{
	*rep = (struct vault_report){ .http_status = a->status };
	azure_copy_text(rep->request_id, sizeof(rep->request_id), a->request_id);
	azure_copy_text(rep->network_info, sizeof(rep->network_info), a->network_info);
}

static enum vault_verdict judge_failure(const struct net_answer *a, const char *what,
					struct vault_report *rep)
{
	static const char *const next[] = {
		[NET_NOT_RESOLVED] = "check the vault's name and this host's DNS",
		[NET_NOT_CONNECTED] = "check the network, the proxy and the vault's firewall",
		[NET_NOT_TRUSTED] = "check the clock, the host name, and \"ca_file\"",
		[NET_TIMED_OUT] = "check the network, the proxy and the vault's firewall",
		[NET_CUT_OFF] = "check what stands between this host and the vault",
		[NET_TOO_LARGE] = "check that this address is the key vault and no proxy",
		[NET_LOCAL] = "free memory, then try again",
	};
	char why[512];

	(void)snprintf(why, sizeof(why), "%s (%s)", net_failure_text(a->failure), a->reason);
	return conclude(rep, VAULT_UNREACHABLE, -ENOKEY, what, why, next[a->failure]);
}

/* error.code and the innermost innererror.code; false: no such object. */
static bool take_error(const json_t *body, struct vault_report *rep)
{
	const json_t *error = json_object_get(body, "error");
	const json_t *inner = json_object_get(error, "innererror");
	const char *code = json_string_value(json_object_get(error, "code"));

	if (!code || !*code)
		return false;
	azure_copy_text(rep->code, sizeof(rep->code), code);
	azure_copy_text(rep->message, sizeof(rep->message),
			json_string_value(json_object_get(error, "message")));
	for (int depth = 0; json_is_object(inner) && depth < INNER_DEPTH_MAX; depth++) {
		const char *inner_code = json_string_value(json_object_get(inner, "code"));

		if (inner_code)
			azure_copy_text(rep->inner_code, sizeof(rep->inner_code), inner_code);
		inner = json_object_get(inner, "innererror");
	}
	return true;
}

static const char *denied_next(const struct vault_report *rep)
{
	if (rep->http_status == 404)
		return "put the key back (az keyvault key recover), or correct \"protector\"";
	if (strncmp(rep->inner_code, "ForbiddenByFirewall", 19) == 0 ||
	    strncmp(rep->inner_code, "ForbiddenByConnection", 21) == 0)
		return "let this host through the vault's firewall: its address is in the answer";
	if (strcmp(rep->inner_code, "KeyDisabled") == 0)
		return "enable the key, or keep it disabled to keep the data locked";
	if (strcmp(rep->inner_code, "KeyOperationForbidden") == 0)
		return "allow wrapKey and unwrapKey in the key's key_ops";
	return "grant get, wrapKey and unwrapKey to this identity, or role Key Vault Crypto "
	       "Service Encryption User";
}

static enum vault_verdict judge_refusal(const struct net_answer *a, const char *what, bool named,
					struct vault_report *rep)
{
	char why[600];

	(void)snprintf(why, sizeof(why), "HTTP %d%s%.500s", a->status, rep->message[0] ? ", " : "",
		       rep->message);
	if (a->status == 408 || a->status == 429 || a->status >= 500)
		return conclude(rep, VAULT_UNREACHABLE, -ENOKEY, what, why,
				a->status == 429 ? "wait: the vault limits how often it is asked"
						 : "wait, or ask who runs the vault");
	/* Without the vault's own header or its JSON, a proxy or a portal has answered. */
	if (!named || (!a->request_id[0] && !a->network_info[0] && !a->region[0]))
		return azure_stranger(rep, what, why);
	if (a->status == 401) {
		rep->credential_alarm = true;
		return conclude(rep, VAULT_UNREACHABLE, -ENOKEY, what, why,
				"check the identity's tenant and the clock of this host");
	}
	if (a->status == 403 || a->status == 404)
		return conclude(rep, VAULT_DENIED, -EKEYREVOKED, what, why, denied_next(rep));
	return conclude(rep, VAULT_BROKEN, -EPROTO, what, why,
			"report this: the vault does not understand what it was asked");
}

enum vault_verdict azure_judge(const struct net_answer *a, const char *what,
			       struct vault_report *ret_report)
{
	CLEANUP_JSON json_t *body = NULL;
	bool json = strncasecmp(a->content_type, "application/json", 16) == 0;
	bool named;

	take_headers(a, ret_report);
	if (a->failure != NET_ANSWERED)
		return judge_failure(a, what, ret_report);
	if (a->status == 200 && json)
		return VAULT_GRANTED;
	if (a->status < 400)
		return azure_stranger(ret_report, what,
				      a->status == 200 ? "the answer is not JSON"
						       : "the answer is a redirection");
	body = parse(a);
	named = take_error(body, ret_report);
	return judge_refusal(a, what, named, ret_report);
}

bool azure_is_transient(const struct vault_report *rep)
{
	return rep->verdict == VAULT_UNREACHABLE && !rep->credential_alarm;
}

/* What Entra's and IMDS's errors say of the identity; others are passing or our own. */
static const struct {
	const char *text;
	enum vault_verdict verdict;
	const char *why, *next;
} token_errors[] = {
	{ "AADSTS700016", VAULT_DENIED, "the identity is not in the tenant",
	  "put the application back, or correct \"client_id\"" },
	{ "AADSTS90002", VAULT_DENIED, "the tenant does not exist", "correct \"tenant_id\"" },
	{ "AADSTS7000215", VAULT_DENIED, "the client secret is not valid",
	  "put a valid secret into \"client_secret_file\"" },
	{ "Identity not found", VAULT_DENIED, "no such identity is assigned to this machine",
	  "assign it, or correct \"client_id\"" },
	{ "AADSTS7000222", VAULT_UNREACHABLE, "the client secret has expired",
	  "put a new secret into \"client_secret_file\"" },
	{ "AADSTS700024", VAULT_UNREACHABLE, "the assertion has expired",
	  "check this host's clock, and that the federated token is renewed" },
	{ "AADSTS700027", VAULT_UNREACHABLE, "the assertion's signature is not valid",
	  "register this certificate with the application" },
	{ "AADSTS70021", VAULT_UNREACHABLE, "no federated credential matches",
	  "register issuer and subject of the token with the application" },
};

/* "AADSTS70021" is not the beginning of "AADSTS700211". */
static bool contains_code(const char *text, const char *code)
{
	const char *at = strstr(text, code);
	size_t len = strlen(code);

	return at && !(at[len] >= '0' && at[len] <= '9');
}

static enum vault_verdict judge_token_error(struct vault_report *rep, const char *what)
{
	char why[600];

	/* 404 and 410 are IMDS on its way up; 429 and 5xx say nothing of the identity. */
	for (size_t i = 0; i < ARRAY_SIZE(token_errors); i++) {
		if ((rep->http_status != 400 && rep->http_status != 401) ||
		    !contains_code(rep->message, token_errors[i].text))
			continue;
		rep->credential_alarm = token_errors[i].verdict == VAULT_UNREACHABLE;
		return conclude(rep, token_errors[i].verdict,
				token_errors[i].verdict == VAULT_DENIED ? -EKEYREVOKED : -ENOKEY,
				what, token_errors[i].why, token_errors[i].next);
	}
	(void)snprintf(why, sizeof(why), "HTTP %d, %.500s", rep->http_status, rep->message);
	rep->credential_alarm =
		rep->code[0] && (rep->http_status == 400 || rep->http_status == 401);
	return conclude(rep, VAULT_UNREACHABLE, -ENOKEY, what, why,
			rep->credential_alarm ? "check \"identity\" and what belongs to it"
					      : "wait, or ask who runs the identity service");
}

enum vault_verdict azure_judge_token(const struct net_answer *a, const char *what,
				     struct vault_report *ret_report)
{
	CLEANUP_JSON json_t *body = NULL;

	take_headers(a, ret_report);
	if (a->failure != NET_ANSWERED)
		return judge_failure(a, what, ret_report);
	if (a->status == 200)
		return VAULT_GRANTED;
	body = parse(a);
	azure_copy_text(ret_report->code, sizeof(ret_report->code),
			json_string_value(json_object_get(body, "error")));
	azure_copy_text(ret_report->message, sizeof(ret_report->message),
			json_string_value(json_object_get(body, "error_description")));
	return judge_token_error(ret_report, what);
}

uint64_t azure_retry_after_ms(const char *field, uint64_t now)
{
	struct tm when = { 0 };
	char *end;
	uint64_t ms = 0;

	if (field[0] >= '0' && field[0] <= '9') {
		unsigned long seconds = strtoul(field, &end, 10);

		if (!*end) /* what is too long is cut below */
			ms = (seconds < RETRY_AFTER_MAX_MS ? seconds : RETRY_AFTER_MAX_MS) * 1000;
	} else if (strptime(field, "%a, %d %b %Y %H:%M:%S GMT", &when)) {
		time_t at = timegm(&when);

		ms = at > (time_t)now ? (uint64_t)(at - (time_t)now) * 1000 : 0;
	}
	return ms < RETRY_AFTER_MAX_MS ? ms : RETRY_AFTER_MAX_MS;
}
