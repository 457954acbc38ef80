/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Azure Key Vault, Managed HSM, and whatever speaks their protocol (Key Vault
 * REST, api-version 7.4). What is asked; how, is azure_call.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "azure_answer.h"
#include "azure_call.h"
#include "azure_key.h"
#include "form.h"
#include "tdefs/json_scan.h"

#define API	  "api-version=7.4"
#define PAGES_MAX 64
#define BODY_MAX  4096
#define WHAT_MAX  (KID_MAX + 32)

struct azure {
	struct vault vault;
	struct azure_session *session;
	const struct clock *clock;
	struct kid kid; /* the key it was opened for: its host is the only one contacted */
};

static struct azure *azure_of(struct vault *v)
{
	return (struct azure *)(void *)v;
}

static enum vault_verdict unusable(struct vault_report *rep, const char *kid, const char *why)
{
	*rep = (struct vault_report){ 0 };
	return azure_nonsense(rep, kid, why);
}

/* Parsed, and in the vault that is open: a header may name any other. */
static bool kid_is_ours(const struct azure *a, const char *text, struct kid *ret_kid)
{
	return kid_parse(text, ret_kid) == 0 && strcmp(ret_kid->host, a->kid.host) == 0 &&
	       ret_kid->port == a->kid.port;
}

/* https://HOST/keys/NAME[/VERSION][/OPERATION]?api-version=... */
static void make_url(const struct kid *kid, const char *operation, char url[static AZURE_URL_MAX])
{
	char vault[KID_VAULT_MAX];

	(void)snprintf(url, AZURE_URL_MAX, "%s/keys/%s%s%s%s%s?" API, kid_vault(kid, vault),
		       kid->name, kid->version[0] ? "/" : "", kid->version, operation[0] ? "/" : "",
		       operation);
}

static enum vault_verdict azure_get(struct vault *v, const char *text, unsigned timeout_ms,
				    struct vault_key *ret_key, struct vault_report *rep)
{
	struct azure *a = azure_of(v);
	struct net_answer answer;
	char url[AZURE_URL_MAX], what[WHAT_MAX];
	const char *wrong;
	struct kid kid;

	if (!kid_is_ours(a, text, &kid))
		return unusable(rep, text, "not a key of this vault");
	make_url(&kid, "", url);
	(void)snprintf(what, sizeof(what), "get %s", text);
	if (azure_call(a->session,
		       &(struct azure_request){
			       .what = what, .url = url, .timeout_ms = timeout_ms },
		       &answer, rep) != VAULT_GRANTED)
		return rep->verdict;
	wrong = azure_key_parse(&answer, &kid, ret_key);
	if (wrong)
		azure_nonsense(rep, what, wrong);
	net_answer_release(&answer);
	return rep->verdict;
}

static const char *algorithm_name(enum wrap_algorithm algorithm)
{
	return algorithm == WRAP_RSA_OAEP ? "RSA-OAEP" : "RSA-OAEP-256";
}

static struct secret *make_body(enum wrap_algorithm algorithm, const void *value, size_t len)
{
	struct form f = form_new(BODY_MAX);
	struct secret *body;

	form_text(&f, "{\"alg\":\"");
	form_text(&f, algorithm_name(algorithm));
	form_text(&f, "\",\"value\":\"");
	form_base64url(&f, value, len);
	form_text(&f, "\"}");
	body = form_take(&f);
	form_release(&f);
	return body;
}

/* wrapKey or unwrapKey: the answer's value, and the kid that it names. */
static enum vault_verdict operate(struct azure *a, const char *operation, const char *text,
				  struct secret *body, unsigned timeout_ms,
				  char ret_kid[static KID_MAX + 1], struct secret **ret_value,
				  struct vault_report *rep)
{
	char url[AZURE_URL_MAX], what[WHAT_MAX];
	struct net_answer answer;
	struct json_span span;
	const char *wrong;
	struct kid kid;

	if (!kid_is_ours(a, text, &kid))
		return unusable(rep, text, "not a key of this vault");
	if (!body)
		return azure_no_memory(rep);
	make_url(&kid, operation, url);
	(void)snprintf(what, sizeof(what), "%s with %s", operation, text);
	if (azure_call(a->session,
		       &(struct azure_request){
			       .what = what, .url = url, .body = body, .timeout_ms = timeout_ms },
		       &answer, rep) != VAULT_GRANTED)
		return rep->verdict;
	wrong = azure_kid_parse(&answer, &kid, ret_kid);
	if (!wrong && (json_scan_member((const char *)secret_view(answer.body), answer.body_len,
					"value", &span) < 0 ||
		       json_scan_secret_base64url(&span, ret_value) < 0))
		wrong = "the answer has no value";
	if (wrong)
		azure_nonsense(rep, what, wrong);
	net_answer_release(&answer);
	return rep->verdict;
}

static enum vault_verdict azure_wrap(struct vault *v, const char *kid, const struct secret *plain,
				     unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				     struct vault_report *rep)
{
	CLEANUP_SECRET struct secret *body =
		make_body(WRAP_RSA_OAEP_256, secret_view(plain), secret_len(plain));
	CLEANUP_SECRET struct secret *value = NULL;
	struct vault_wrapped w = { .algorithm = WRAP_RSA_OAEP_256 };

	if (operate(azure_of(v), "wrapkey", kid, body, timeout_ms, w.kid, &value, rep) !=
	    VAULT_GRANTED)
		return rep->verdict;
	w.len = secret_len(value);
	if (w.len == 0 || w.len > sizeof(w.bytes))
		return azure_nonsense(rep, kid, "the wrapped value has no length of an RSA key");
	memcpy(w.bytes, secret_view(value), w.len);
	*ret_wrapped = w;
	return VAULT_GRANTED;
}

static enum vault_verdict azure_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				       unsigned timeout_ms, struct secret **ret_plain,
				       struct vault_report *rep)
{
	CLEANUP_SECRET struct secret *body =
		make_body(wrapped->algorithm, wrapped->bytes, wrapped->len);
	char kid[KID_MAX + 1];

	return operate(azure_of(v), "unwrapkey", wrapped->kid, body, timeout_ms, kid, ret_plain,
		       rep);
}

/* All pages, within one deadline. */
static enum vault_verdict read_versions(const struct azure *a, const struct kid *kid,
					const char *what, unsigned timeout_ms,
					struct vault_versions *list, struct vault_report *rep)
{
	uint64_t deadline_ms = a->clock->boot_ms() + timeout_ms;
	char url[AZURE_URL_MAX], next[AZURE_URL_MAX];
	const char *wrong = NULL;

	make_url(kid, "versions", url);
	for (unsigned page = 0; !wrong && url[0]; page++) {
		uint64_t now = a->clock->boot_ms();
		const struct azure_request request = {
			.what = what,
			.url = url,
			.timeout_ms = now < deadline_ms ? (unsigned)(deadline_ms - now) : 0
		};
		struct net_answer answer;

		if (azure_call(a->session, &request, &answer, rep) != VAULT_GRANTED)
			return rep->verdict;
		wrong = azure_versions_parse(&answer, kid, list, next);
		if (!wrong && page == PAGES_MAX)
			wrong = "the list does not end";
		net_answer_release(&answer);
		memcpy(url, next, sizeof(url));
	}
	return wrong ? azure_nonsense(rep, what, wrong) : VAULT_GRANTED;
}

static enum vault_verdict azure_versions(struct vault *v, const char *text, unsigned timeout_ms,
					 struct vault_versions *ret_versions,
					 struct vault_report *rep)
{
	CLEANUP_FREE struct vault_versions *list = calloc(1, sizeof(*list));
	struct azure *a = azure_of(v);
	char what[WHAT_MAX];
	struct kid kid;

	if (!kid_is_ours(a, text, &kid))
		return unusable(rep, text, "not a key of this vault");
	if (!list)
		return azure_no_memory(rep);
	kid.version[0] = '\0';
	(void)snprintf(what, sizeof(what), "versions of %s", text);
	if (read_versions(a, &kid, what, timeout_ms, list, rep) != VAULT_GRANTED)
		return rep->verdict;
	azure_versions_sort(list);
	*ret_versions = *list;
	return VAULT_GRANTED;
}

static int azure_open(const char *text, const struct settings *settings, const struct clock *clock,
		      struct vault **ret_vault, struct errmsg *reterr)
{
	struct azure *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "key vault: out of memory");
	a->vault.ops = &vault_azure_ops;
	a->clock = clock;
	if (kid_parse(text, &a->kid) < 0) {
		free(a);
		errmsg_next(reterr, "give https://VAULT/keys/NAME or .../VERSION");
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "%s: not a key identifier of a key vault", text);
	}
	r = azure_session_new(&a->kid, settings, clock, &a->session, reterr);
	if (r < 0) {
		free(a);
		return r;
	}
	*ret_vault = &a->vault;
	return 0;
}

static void azure_describe(struct vault *v, struct vault_identity *ret_identity)
{
	azure_session_describe(azure_of(v)->session, ret_identity);
}

static void azure_close(struct vault *v)
{
	struct azure *a = azure_of(v);

	if (!a)
		return;
	azure_session_free(a->session);
	free(a);
}

const struct vault_ops vault_azure_ops = {
	.name = "azure",
	.kid_prefix = "https:",
	.open = azure_open,
	.close = azure_close,
	.get = azure_get,
	.wrap = azure_wrap,
	.unwrap = azure_unwrap,
	.versions = azure_versions,
	.describe = azure_describe,
};
