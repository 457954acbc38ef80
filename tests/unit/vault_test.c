/* SPDX-License-Identifier: Apache-2.0 */
/* What a vault's and a token endpoint's answers mean: verdicts, challenges, clouds. */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/vault/azure_answer.h"
#include "../../src/vault/challenge.h"
#include "../../src/vault/cloud.h"
#include "../support/answers.h"

/* Verdicts. */

#define HTML		     "<html><body>Forbidden</body></html>"
#define ERROR(code, message) "{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\"}}"
#define INNER(code, inner)                                                                         \
	"{\"error\":{\"code\":\"" code "\",\"message\":\"m\",\"innererror\":{\"code\":\"" inner    \
	"\"}}}"

/* Which of the headers that only a vault sets are there. */
enum marks { NONE, REQUEST_ID, NETWORK, REGION };

static const struct judgement {
	int status;
	const char *body;
	enum marks marks;
	enum vault_verdict verdict;
	const char *code, *inner;
	bool alarm;
} judgements[] = {
	/* The vault says no (key-vault-rest 4.3). */
	{ 403, INNER("Forbidden", "AccessDenied"), REQUEST_ID, VAULT_DENIED, "Forbidden",
	  "AccessDenied", false },
	{ 403, INNER("Forbidden", "ForbiddenByPolicy"), REQUEST_ID, VAULT_DENIED, "Forbidden",
	  "ForbiddenByPolicy", false },
	{ 403, INNER("Forbidden", "ForbiddenByRbac"), NETWORK, VAULT_DENIED, "Forbidden",
	  "ForbiddenByRbac", false },
	{ 403, INNER("Forbidden", "ForbiddenByFirewall"), REQUEST_ID, VAULT_DENIED, "Forbidden",
	  "ForbiddenByFirewall", false },
	{ 403, INNER("Forbidden", "ForbiddenByConnection"), REQUEST_ID, VAULT_DENIED, "Forbidden",
	  "ForbiddenByConnection", false },
	{ 403, INNER("Forbidden", "KeyDisabled"), REQUEST_ID, VAULT_DENIED, "Forbidden",
	  "KeyDisabled", false },
	{ 403, INNER("Forbidden", "KeyOperationForbidden"), REGION, VAULT_DENIED, "Forbidden",
	  "KeyOperationForbidden", false },
	{ 403, INNER("Forbidden", "KeyNotYetValid"), REQUEST_ID, VAULT_DENIED, "Forbidden",
	  "KeyNotYetValid", false },
	{ 403, INNER("Forbidden", "SomethingNew"), REQUEST_ID, VAULT_DENIED, "Forbidden",
	  "SomethingNew", false },
	{ 403, ERROR("Forbidden", "m"), REQUEST_ID, VAULT_DENIED, "Forbidden", "", false },
	{ 404, ERROR("KeyNotFound", "m"), REQUEST_ID, VAULT_DENIED, "KeyNotFound", "", false },
	/* innererror may nest: the innermost tells; what is no object is not entered. */
	{ 403,
	  "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"A\",\"innererror\":"
	  "{\"code\":\"KeyDisabled\",\"innererror\":null}}}}",
	  REQUEST_ID, VAULT_DENIED, "Forbidden", "KeyDisabled", false },
	{ 403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":\"x\"}}", REQUEST_ID,
	  VAULT_DENIED, "Forbidden", "", false },
	/* Our credential. */
	{ 401, ERROR("Unauthorized", "AKV10022: Invalid audience."), REQUEST_ID, VAULT_UNREACHABLE,
	  "Unauthorized", "", true },
	{ 401, ERROR("Unauthorized", "AKV10032: Invalid issuer."), REQUEST_ID, VAULT_UNREACHABLE,
	  "Unauthorized", "", true },
	/* An outage. */
	{ 408, ERROR("Timeout", "m"), REQUEST_ID, VAULT_UNREACHABLE, "Timeout", "", false },
	{ 429, ERROR("Throttled", "m"), REQUEST_ID, VAULT_UNREACHABLE, "Throttled", "", false },
	{ 429, "", NONE, VAULT_UNREACHABLE, "", "", false },
	{ 500, ERROR("InternalServerError", "m"), REQUEST_ID, VAULT_UNREACHABLE,
	  "InternalServerError", "", false },
	{ 502, HTML, NONE, VAULT_UNREACHABLE, "", "", false },
	{ 503, INNER("Forbidden", "KeyDisabled"), REQUEST_ID, VAULT_UNREACHABLE, "Forbidden",
	  "KeyDisabled", false },
	{ 504, "", NONE, VAULT_UNREACHABLE, "", "", false },
	{ 599, "", NONE, VAULT_UNREACHABLE, "", "", false },
	/* Somebody else answered. */
	{ 403, HTML, REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 403, "", REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 403, ERROR("Forbidden", "m"), NONE, VAULT_UNREACHABLE, "Forbidden", "", false },
	{ 404, HTML, NONE, VAULT_UNREACHABLE, "", "", false },
	{ 404, ERROR("KeyNotFound", "m"), NONE, VAULT_UNREACHABLE, "KeyNotFound", "", false },
	{ 403, "{\"error\":\"Forbidden\"}", REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 403, "{\"error\":{\"code\":7}}", REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 403, "{\"message\":\"no\"}", REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 403, "[]", REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 403, "{\"error\":{\"code\":\"Forbidden\",\"code\":\"X\"}}", REQUEST_ID, VAULT_UNREACHABLE,
	  "", "", false },
	{ 401, "OK", REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 407, HTML, NONE, VAULT_UNREACHABLE, "", "", false },
	{ 400, HTML, NONE, VAULT_UNREACHABLE, "", "", false },
	{ 204, "", REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 301, "", NONE, VAULT_UNREACHABLE, "", "", false },
	{ 302, ERROR("Forbidden", "m"), REQUEST_ID, VAULT_UNREACHABLE, "", "", false },
	{ 307, "", NONE, VAULT_UNREACHABLE, "", "", false },
	/* Our bytes, or our bug. */
	{ 400, ERROR("BadParameter", "Error occurred while decoding OAEP padding."), REQUEST_ID,
	  VAULT_BROKEN, "BadParameter", "", false },
	{ 405, ERROR("MethodNotAllowed", "m"), REQUEST_ID, VAULT_BROKEN, "MethodNotAllowed", "",
	  false },
	{ 409, INNER("Conflict", "ObjectIsBeingDeleted"), REQUEST_ID, VAULT_BROKEN, "Conflict",
	  "ObjectIsBeingDeleted", false },
};

static struct net_answer answer_to(const struct judgement *j)
{
	struct net_answer a = answer_of(j->status, j->body);

	if (j->body[0] == '<')
		strcpy(a.content_type, "text/html");
	if (j->marks == REQUEST_ID)
		strcpy(a.request_id, "7a3184b9");
	if (j->marks == NETWORK)
		strcpy(a.network_info, "conn_type=Ipv4;addr=1.2.3.4;");
	if (j->marks == REGION)
		strcpy(a.region, "westus3");
	return a;
}

static void answers_have_one_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(judgements); i++) {
		const struct judgement *j = &judgements[i];
		struct net_answer a = answer_to(j);
		struct vault_report rep;

		memset(&rep, 0xee, sizeof(rep));
		if (azure_judge(&a, "unwrapkey with K", &rep) != j->verdict)
			fail_msg("case %zu: HTTP %d %s: %s", i, j->status, j->body,
				 vault_verdict_name(rep.verdict));
		assert_int_equal(rep.verdict, j->verdict);
		assert_int_equal(rep.http_status, j->status);
		assert_string_equal(rep.code, j->code);
		assert_string_equal(rep.inner_code, j->inner);
		assert_string_equal(rep.request_id, a.request_id);
		assert_string_equal(rep.network_info, a.network_info);
		assert_int_equal(rep.credential_alarm, j->alarm);
		assert_true(rep.error.text[0] && rep.error.next[0]);
		assert_non_null(strstr(rep.error.text, "unwrapkey with K"));
		assert_true(rep.error.exit_code != EXIT_CODE_DONE);
		assert_int_equal(azure_is_transient(&rep),
				 j->verdict == VAULT_UNREACHABLE && !j->alarm);
		net_answer_release(&a);
	}
}

static void only_json_is_granted(void **state)
{
	static const struct {
		const char *type;
		enum vault_verdict verdict;
	} cases[] = {
		{ "application/json; charset=utf-8", VAULT_GRANTED },
		{ "application/json", VAULT_GRANTED },
		{ "Application/JSON", VAULT_GRANTED },
		{ "text/html", VAULT_UNREACHABLE },
		{ "", VAULT_UNREACHABLE },
		{ "text/application/json", VAULT_UNREACHABLE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_answer a = answer_of(200, "{}");
		struct vault_report rep;

		strcpy(a.content_type, cases[i].type);
		assert_int_equal(azure_judge(&a, "get K", &rep), cases[i].verdict);
		assert_int_equal(rep.verdict, cases[i].verdict);
		assert_int_equal(rep.error.text[0] != '\0', cases[i].verdict != VAULT_GRANTED);
		net_answer_release(&a);
	}
}

static void no_answer_is_unreachable_and_says_why(void **state)
{
	(void)state;
	for (enum net_failure f = NET_NOT_RESOLVED; f <= NET_LOCAL; f++) {
		struct net_answer a = { .failure = f, .status = 403, .reason = "because" };
		struct vault_report rep, token;

		assert_int_equal(azure_judge(&a, "get K", &rep), VAULT_UNREACHABLE);
		assert_int_equal(azure_judge_token(&a, "token", &token), VAULT_UNREACHABLE);
		assert_false(rep.credential_alarm || token.credential_alarm);
		assert_true(azure_is_transient(&rep));
		assert_non_null(strstr(rep.error.text, "because"));
		assert_true(rep.error.next[0] && token.error.next[0]);
	}
}

/* Texts of others end in logs, terminals and JSON: no controls, no halves of characters. */
static void texts_of_others_are_plain(void **state)
{
	char body[2048] = "{\"error\":{\"code\":\"A\\u001b[2JB\\r\\n\",\"message\":\"x\\n\\u009b";
	struct net_answer a;
	struct vault_report rep;

	(void)state;
	for (int i = 0; i < 400; i++)
		strcat(body, "\xc3\xa9");
	strcat(body, "\"}}");
	a = answer_of(403, body);
	strcpy(a.request_id, "id\x1b[1m\xc3");
	assert_int_equal(azure_judge(&a, "get K", &rep), VAULT_DENIED);
	for (const char *p = rep.error.text; *p; p++)
		assert_in_range(*p, 0x20, 0x7e);
	for (const char *p = rep.message; *p; p++)
		assert_in_range(*p, 0x20, 0x7e);
	for (const char *p = rep.request_id; *p; p++)
		assert_in_range(*p, 0x20, 0x7e);
	assert_string_equal(rep.code, "A [2JB  ");
	net_answer_release(&a);
}

#define OAUTH(error, description)                                                                  \
	"{\"error\":\"" error "\",\"error_description\":\"" description "\"}"

static void token_answers_have_one_verdict(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum vault_verdict verdict;
		const char *code;
		bool alarm;
	} cases[] = {
		{ 200, "{}", VAULT_GRANTED, "", false },
		{ 401, OAUTH("invalid_client", "AADSTS7000215: Invalid client secret"),
		  VAULT_DENIED, "invalid_client", false },
		{ 400, OAUTH("unauthorized_client", "AADSTS700016: Application not found"),
		  VAULT_DENIED, "unauthorized_client", false },
		{ 400, OAUTH("invalid_request", "AADSTS90002: Tenant not found"), VAULT_DENIED,
		  "invalid_request", false },
		{ 400, OAUTH("invalid_request", "Identity not found"), VAULT_DENIED,
		  "invalid_request", false },
		{ 401, OAUTH("invalid_client", "AADSTS7000222: The secret has expired"),
		  VAULT_UNREACHABLE, "invalid_client", true },
		{ 401, OAUTH("invalid_client", "AADSTS700024: assertion not in time range"),
		  VAULT_UNREACHABLE, "invalid_client", true },
		{ 401, OAUTH("invalid_client", "AADSTS700027: bad signature"), VAULT_UNREACHABLE,
		  "invalid_client", true },
		{ 400, OAUTH("invalid_request", "AADSTS70021: No matching credential"),
		  VAULT_UNREACHABLE, "invalid_request", true },
		{ 400, OAUTH("invalid_request", "AADSTS700211: No matching issuer"),
		  VAULT_UNREACHABLE, "invalid_request", true },
		{ 400, OAUTH("invalid_request", "AADSTS7000161: another code"), VAULT_UNREACHABLE,
		  "invalid_request", true },
		{ 400, OAUTH("invalid_request", "AADSTS900144: a parameter is missing"),
		  VAULT_UNREACHABLE, "invalid_request", true },
		{ 400, OAUTH("bad_request_102", "Required metadata header not specified"),
		  VAULT_UNREACHABLE, "bad_request_102", true },
		/* Passing, whatever the text says. */
		{ 503, OAUTH("temporarily_unavailable", "AADSTS90033: transient"),
		  VAULT_UNREACHABLE, "temporarily_unavailable", false },
		{ 500, OAUTH("unknown", "Failed to retrieve token"), VAULT_UNREACHABLE, "unknown",
		  false },
		{ 503, OAUTH("x", "AADSTS700016: being replicated"), VAULT_UNREACHABLE, "x",
		  false },
		{ 429, OAUTH("x", "Identity not found: too many requests"), VAULT_UNREACHABLE, "x",
		  false },
		{ 404, OAUTH("not_found", "IMDS is starting"), VAULT_UNREACHABLE, "not_found",
		  false },
		{ 410, "", VAULT_UNREACHABLE, "", false },
		{ 429, "", VAULT_UNREACHABLE, "", false },
		/* No token endpoint at all. */
		{ 400, HTML, VAULT_UNREACHABLE, "", false },
		{ 401, HTML, VAULT_UNREACHABLE, "", false },
		{ 403, HTML, VAULT_UNREACHABLE, "", false },
		{ 302, "", VAULT_UNREACHABLE, "", false },
		{ 400, "{\"error\":{\"code\":\"x\"}}", VAULT_UNREACHABLE, "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_answer a = answer_of(cases[i].status, cases[i].body);
		struct vault_report rep;

		memset(&rep, 0xee, sizeof(rep));
		if (azure_judge_token(&a, "token", &rep) != cases[i].verdict ||
		    rep.verdict != cases[i].verdict || rep.credential_alarm != cases[i].alarm)
			fail_msg("case %zu: HTTP %d %s: %s, alarm %d", i, cases[i].status,
				 cases[i].body, vault_verdict_name(rep.verdict),
				 rep.credential_alarm);
		assert_string_equal(rep.code, cases[i].code);
		assert_int_equal(rep.error.next[0] != '\0', cases[i].verdict != VAULT_GRANTED);
		net_answer_release(&a);
	}
}

static void retry_after_is_seconds_or_a_date(void **state)
{
	static const uint64_t now = 1700000000; /* Tue, 14 Nov 2023 22:13:20 GMT */
	static const struct {
		const char *field;
		uint64_t ms;
	} cases[] = {
		{ "", 0 },
		{ "0", 0 },
		{ "1", 1000 },
		{ "30", 30000 },
		{ "3599", 3599000 },
		{ "3600", 3600000 },
		{ "3601", 3600000 }, /* an hour at most */
		{ "4000000", 3600000 },
		{ "99999999999999999999999999", 3600000 },
		{ "-1", 0 },
		{ "1.5", 0 },
		{ "10 seconds", 0 },
		{ "soon", 0 },
		{ "Tue, 14 Nov 2023 22:13:25 GMT", 5000 },
		{ "Tue, 14 Nov 2023 22:13:20 GMT", 0 },
		{ "Tue, 14 Nov 2023 22:13:19 GMT", 0 },
		{ "Wed, 14 Nov 2029 22:13:19 GMT", 3600000 },
		{ "Tue, 14 Nov", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (azure_retry_after_ms(cases[i].field, now) != cases[i].ms)
			fail_msg("%s: %llu", cases[i].field,
				 (unsigned long long)azure_retry_after_ms(cases[i].field, now));
}

/* Challenges. */

#define TENANT "72f988bf-86f1-41af-91ab-2d7cd011db47"

static void challenges_are_read_in_all_their_forms(void **state)
{
	static const struct {
		const char *field, *authority, *resource;
	} cases[] = {
		{ "Bearer authorization=\"https://login.windows.net/" TENANT
		  "\", resource=\"https://vault.azure.net\"",
		  "login.windows.net", "https://vault.azure.net" },
		{ "Bearer authorization_uri=\"https://login.microsoftonline.com/" TENANT
		  "/\" resource=\"https://managedhsm.azure.net/\"",
		  "login.microsoftonline.com", "https://managedhsm.azure.net" },
		{ "bearer  "
		  "scope=\"https://vault.azure.net/.default\",authorization=\"https://a/" TENANT
		  "/oauth2/authorize?x=y\"",
		  "a", "https://vault.azure.net" },
		{ "Bearer authorization=https://A.Example:8443/" TENANT
		  " resource=https://vault.azure.net",
		  "a.example:8443", "https://vault.azure.net" },
		{ "PoP nonce=\"Bearer x\", Bearer authorization=\"https://a/" TENANT
		  "\", resource=\"https://vault.azure.net\", MTLS_POP nonce=\"y\"",
		  "a", "https://vault.azure.net" },
		{ "Bearer realm=\"\", authorization=\"https://a:443/" TENANT
		  "\",\tresource=\"https://vault.azure.net//\", error=\"x\"",
		  "a", "https://vault.azure.net" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct challenge c;

		if (challenge_parse(cases[i].field, &c) != 0)
			fail_msg("refused: %s", cases[i].field);
		assert_string_equal(c.authority_host, cases[i].authority);
		assert_string_equal(c.resource, cases[i].resource);
		assert_string_equal(c.tenant, TENANT);
	}
}

#define AUTHORITY "authorization=\"https://login.windows.net/" TENANT "\""
#define RESOURCE  "resource=\"https://vault.azure.net\""

static void hostile_challenges_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"Bearer",
		"Bearer ",
		"Basic realm=x",
		"BearerX " AUTHORITY ", " RESOURCE,
		"PoP " AUTHORITY ", " RESOURCE,
		"PoP nonce=\"Bearer "
		"authorization=https://a/t resource=https://b\"",
		"Bearer " AUTHORITY,
		"Bearer " RESOURCE,
		"Bearer " AUTHORITY ", resource=\"\"",
		"Bearer " AUTHORITY ", resource=\"http://vault.azure.net\"",
		"Bearer " AUTHORITY ", resource=\"vault.azure.net\"",
		"Bearer " AUTHORITY ", resource=\"https://vault.azure.net",
		"Bearer " AUTHORITY ", resource=\"https://va\\\"ult.azure.net\"",
		"Bearer authorization=\"http://login.windows.net/" TENANT "\", " RESOURCE,
		"Bearer authorization=\"https://login.windows.net\", " RESOURCE,
		"Bearer authorization=\"https://login.windows.net/\", " RESOURCE,
		"Bearer authorization=\"https://login.windows.net//" TENANT "\", " RESOURCE,
		"Bearer authorization=\"https://login.windows.net/t%20x\", " RESOURCE,
		"Bearer authorization=\"https://login.windows.net/t@x\", " RESOURCE,
		"Bearer authorization=\"https://u@login.windows.net/" TENANT "\", " RESOURCE,
		"Bearer authorization=\"https:///" TENANT "\", " RESOURCE,
		"Bearer authorization=\"https://login windows/" TENANT "\", " RESOURCE,
		"Bearer authorization=\"https://login\\.windows/" TENANT "\", " RESOURCE,
		"Bearer authorization=\"file:///etc/passwd\", " RESOURCE,
	};
	struct challenge c;
	char longest[1024] = "Bearer " AUTHORITY ", resource=\"https://";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (challenge_parse(bad[i], &c) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	memset(longest + strlen(longest), 'h', 600);
	strcat(longest, "\"");
	assert_int_equal(challenge_parse(longest, &c), -EBADMSG);
}

static void tokens_go_only_below_their_resource(void **state)
{
	static const struct {
		const char *resource, *host;
		bool covers;
	} cases[] = {
		{ "https://vault.azure.net", "contoso.vault.azure.net", true },
		{ "https://vault.azure.net", "a.b.vault.azure.net", true },
		{ "https://vault.azure.net", "vault.azure.net", true },
		{ "https://Vault.Azure.NET", "contoso.vault.azure.net", true },
		{ "https://vault.azure.net:443", "contoso.vault.azure.net", true },
		{ "https://vault.azure.net", "contoso.vault.azure.net:8443", true },
		{ "https://localhost", "localhost:8443", true },
		{ "https://localhost:8443", "localhost:8443", true },
		{ "https://vault.azure.net", "evilvault.azure.net", false },
		{ "https://vault.azure.net", "vault.azure.net.evil.example", false },
		{ "https://vault.azure.net", ".vault.azure.net", false },
		{ "https://vault.azure.net", "azure.net", false },
		{ "https://vault.azure.net", "x.managedhsm.azure.net", false },
		{ "https://contoso.vault.azure.net", "vault.azure.net", false },
		{ "http://vault.azure.net", "contoso.vault.azure.net", false },
		{ "https://", "contoso.vault.azure.net", false },
		{ "", "contoso.vault.azure.net", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (challenge_resource_covers(cases[i].resource, cases[i].host) != cases[i].covers)
			fail_msg("%s for %s", cases[i].resource, cases[i].host);
}

static void hosts_of_urls(void **state)
{
	static const struct {
		const char *url, *host;
	} cases[] = {
		{ "https://login.microsoftonline.com/", "login.microsoftonline.com" },
		{ "HTTPS://LOGIN.Example/t/x", "login.example" },
		{ "https://h:443/x", "h" },
		{ "https://h:8443?x", "h:8443" },
		{ "https://h#x", "h" },
		{ "http://h/", NULL },
		{ "https://", NULL },
		{ "https:///x", NULL },
		{ "https://:443/", NULL },
		{ "https://u@h/", NULL },
		{ "https://h h/", NULL },
		{ "https://h\\evil/", NULL },
		{ "https://h\r\n/", NULL },
		{ "https://h:/", NULL },
		{ "https://h:8x/", NULL },
	};
	char host[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (url_host(cases[i].url, host, sizeof(host)) != (cases[i].host != NULL))
			fail_msg("%s", cases[i].url);
		if (cases[i].host)
			assert_string_equal(host, cases[i].host);
	}
	assert_true(url_host("https://abcd", host, 5));
	assert_false(url_host("https://abcde", host, 5));
}

static void clouds_are_known_by_the_host(void **state)
{
	static const struct {
		const char *host, *resource, *authority;
	} cases[] = {
		{ "v.vault.azure.net", "https://vault.azure.net", "login.microsoftonline.com" },
		{ "v.vault.azure.cn", "https://vault.azure.cn", "login.chinacloudapi.cn" },
		{ "v.vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net",
		  "login.microsoftonline.us" },
		{ "h.managedhsm.azure.net", "https://managedhsm.azure.net",
		  "login.microsoftonline.com" },
		{ "h.managedhsm.azure.cn", "https://managedhsm.azure.cn",
		  "login.chinacloudapi.cn" },
		{ "h.managedhsm.usgovcloudapi.net", "https://managedhsm.usgovcloudapi.net",
		  "login.microsoftonline.us" },
		{ "vault.azure.net", NULL, NULL },
		{ ".vault.azure.net", NULL, NULL },
		{ "evilvault.azure.net", NULL, NULL },
		{ "v.vault.azure.net.evil.example", NULL, NULL },
		{ "v.vault.azure.net:8443", NULL, NULL },
		{ "localhost", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct cloud *c = cloud_of_host(cases[i].host);

		assert_int_equal(c != NULL, cases[i].resource != NULL);
		if (!c)
			continue;
		assert_string_equal(c->resource, cases[i].resource);
		assert_string_equal(c->authority_host, cases[i].authority);
		assert_true(cloud_is_authority(c->authority_host));
		assert_true(challenge_resource_covers(c->resource, cases[i].host));
	}
	assert_true(cloud_is_authority("login.windows.net"));
	assert_true(cloud_is_authority("login.partner.microsoftonline.cn"));
	assert_false(cloud_is_authority("login.microsoftonline.com.evil.example"));
	assert_false(cloud_is_authority("evillogin.windows.net"));
	assert_false(cloud_is_authority("login.windows.net:8443"));
	assert_false(cloud_is_authority(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_have_one_verdict),
		cmocka_unit_test(only_json_is_granted),
		cmocka_unit_test(no_answer_is_unreachable_and_says_why),
		cmocka_unit_test(texts_of_others_are_plain),
		cmocka_unit_test(token_answers_have_one_verdict),
		cmocka_unit_test(retry_after_is_seconds_or_a_date),
		cmocka_unit_test(challenges_are_read_in_all_their_forms),
		cmocka_unit_test(hostile_challenges_are_refused),
		cmocka_unit_test(tokens_go_only_below_their_resource),
		cmocka_unit_test(hosts_of_urls),
		cmocka_unit_test(clouds_are_known_by_the_host),
	};

	return cmocka_run_group_tests_name("vault", tests, NULL, NULL);
}
