/* SPDX-License-Identifier: Apache-2.0 */
/* Which identity the settings and the environment give, and what is missing. */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/vault/identity.h"

/* Settings of one case; NULL members are not set. */
struct given {
	enum identity_kind kind;
	const char *tenant, *client, *secret, *certificate, *federated, *authority;
};

/* Names and values, two after two. */
typedef const char *environment[10];

static const char *const variables[] = { "AZURE_TENANT_ID", "AZURE_CLIENT_ID",
					 "AZURE_CLIENT_CERTIFICATE_PATH",
					 "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST" };

static void set_environment(const environment env)
{
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	for (size_t i = 0; i < ARRAY_SIZE(variables) && env[2 * i]; i++)
		assert_int_equal(setenv(env[2 * i], env[2 * i + 1], 1), 0);
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int settle(const struct given *g, struct identity_settings *ret, struct errmsg *err)
{
	/* Kept for the process's life, as those of a configuration are. */
	struct settings s = { .identity = g->kind,
			      .tenant_id = copy(g->tenant),
			      .client_id = copy(g->client),
			      .client_secret_file = copy(g->secret),
			      .client_certificate_file = copy(g->certificate),
			      .federated_token_file = copy(g->federated),
			      .authority_host = copy(g->authority) };
	int r = identity_settle(&s, ret, err);

	/* The result points into them: what it holds is checked by kind and presence only. */
	free(s.tenant_id);
	free(s.client_id);
	free(s.client_secret_file);
	free(s.client_certificate_file);
	free(s.federated_token_file);
	free(s.authority_host);
	return r;
}

static void kinds_are_settled(void **state)
{
	static const struct {
		struct given given;
		environment env;
		enum identity_kind kind;
		const char *authority;
	} cases[] = {
		{ { .kind = IDENTITY_AUTO }, { NULL }, IDENTITY_MANAGED, "" },
		{ { .kind = IDENTITY_MANAGED }, { NULL }, IDENTITY_MANAGED, "" },
		{ { .kind = IDENTITY_NONE }, { NULL }, IDENTITY_NONE, "" },
		{ { .client = "c", .secret = "/s" }, { NULL }, IDENTITY_CLIENT_SECRET, "" },
		{ { .client = "c", .certificate = "/p" }, { NULL }, IDENTITY_CERTIFICATE, "" },
		{ { .client = "c", .federated = "/f" }, { NULL }, IDENTITY_WORKLOAD, "" },
		/* The SDKs' order. */
		{ { .client = "c", .secret = "/s", .certificate = "/p", .federated = "/f" },
		  { NULL },
		  IDENTITY_CLIENT_SECRET,
		  "" },
		{ { .client = "c", .certificate = "/p", .federated = "/f" },
		  { NULL },
		  IDENTITY_CERTIFICATE,
		  "" },
		/* A kind that is named wins over what else there is. */
		{ { .kind = IDENTITY_MANAGED, .client = "c", .secret = "/s" },
		  { NULL },
		  IDENTITY_MANAGED,
		  "" },
		{ { .kind = IDENTITY_WORKLOAD, .client = "c", .secret = "/s", .federated = "/f" },
		  { NULL },
		  IDENTITY_WORKLOAD,
		  "" },
		{ { .kind = IDENTITY_NONE, .secret = "/s" }, { NULL }, IDENTITY_NONE, "" },
		/* The environment. */
		{ { 0 },
		  { "AZURE_CLIENT_ID", "c", "AZURE_CLIENT_CERTIFICATE_PATH", "/p" },
		  IDENTITY_CERTIFICATE,
		  "" },
		{ { 0 },
		  { "AZURE_CLIENT_ID", "c", "AZURE_FEDERATED_TOKEN_FILE", "/f" },
		  IDENTITY_WORKLOAD,
		  "" },
		{ { 0 }, { "AZURE_FEDERATED_TOKEN_FILE", "" }, IDENTITY_MANAGED, "" },
		{ { .kind = IDENTITY_CERTIFICATE, .certificate = "/p" },
		  { "AZURE_CLIENT_ID", "c", "AZURE_TENANT_ID", "t" },
		  IDENTITY_CERTIFICATE,
		  "" },
		/* Authorities. */
		{ { .authority = "https://Login.Example/" },
		  { NULL },
		  IDENTITY_MANAGED,
		  "login.example" },
		{ { .authority = "https://127.0.0.1:8443" },
		  { "AZURE_AUTHORITY_HOST", "https://other/" },
		  IDENTITY_MANAGED,
		  "127.0.0.1:8443" },
		{ { 0 },
		  { "AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn/" },
		  IDENTITY_MANAGED,
		  "login.chinacloudapi.cn" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct identity_settings id;
		struct errmsg err = { 0 };

		set_environment(cases[i].env);
		if (settle(&cases[i].given, &id, &err) != 0 || id.kind != cases[i].kind)
			fail_msg("case %zu: %s", i, err.text);
		assert_string_equal(id.authority_host, cases[i].authority);
		assert_int_equal(identity_needs_authority(&id),
				 id.kind != IDENTITY_MANAGED && id.kind != IDENTITY_NONE);
	}
}

static void what_is_missing_is_named(void **state)
{
	static const struct {
		struct given given;
		environment env;
		const char *text, *next;
	} cases[] = {
		{ { .kind = IDENTITY_CLIENT_SECRET, .secret = "/s" },
		  { NULL },
		  "client_id is missing",
		  "AZURE_CLIENT_ID" },
		{ { .kind = IDENTITY_CLIENT_SECRET, .client = "c" },
		  { NULL },
		  "client_secret_file is missing",
		  "AZURE_CLIENT_SECRET" },
		{ { .kind = IDENTITY_CERTIFICATE, .client = "c", .secret = "/s" },
		  { NULL },
		  "client_certificate_file is missing",
		  "AZURE_CLIENT_CERTIFICATE_PATH" },
		{ { .kind = IDENTITY_CERTIFICATE, .certificate = "/p" },
		  { NULL },
		  "client_id is missing",
		  "AZURE_CLIENT_ID" },
		{ { .kind = IDENTITY_WORKLOAD, .client = "c" },
		  { NULL },
		  "federated_token_file is missing",
		  "AZURE_FEDERATED_TOKEN_FILE" },
		{ { .kind = IDENTITY_WORKLOAD, .federated = "/f" },
		  { NULL },
		  "client_id is missing",
		  "AZURE_CLIENT_ID" },
		{ { .secret = "/s" },
		  { "AZURE_CLIENT_ID", "" },
		  "client_id is missing",
		  "AZURE_CLIENT_ID" },
		{ { .authority = "http://h" }, { NULL }, "not an https URL", "https://HOST" },
		{ { .authority = "https://u@h" }, { NULL }, "not an https URL", "https://HOST" },
		{ { 0 },
		  { "AZURE_AUTHORITY_HOST", "login.microsoftonline.com" },
		  "not an https URL",
		  "https://HOST" },
		/* What goes into URLs and JSON is checked wherever it comes from. */
		{ { .secret = "/s" }, { "AZURE_CLIENT_ID", "a\"b" }, "AZURE_CLIENT_ID", "letters" },
		{ { .client = "c", .secret = "/s" },
		  { "AZURE_TENANT_ID", "../x?y" },
		  "AZURE_TENANT_ID",
		  "letters" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct identity_settings id = { .kind = IDENTITY_AUTO };
		struct errmsg err = { 0 };

		set_environment(cases[i].env);
		assert_int_equal(settle(&cases[i].given, &id, &err), -EINVAL);
		if (!strstr(err.text, cases[i].text) || !strstr(err.next, cases[i].next))
			fail_msg("case %zu: %s / %s", i, err.text, err.next);
		assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
		assert_int_equal(id.kind, IDENTITY_AUTO); /* untouched */
	}
}

/* In a child: what is taken from the environment is taken once, for the process's life. */
static const char *take_secret(void)
{
	static char variable[] = "AZURE_CLIENT_SECRET=s3cret-value";
	const struct given g = { .client = "c" };
	struct identity_settings id;
	struct errmsg err = { 0 };
	const struct secret *s;

	if (putenv(variable) != 0)
		return "putenv";
	s = identity_environment_secret(ENVIRONMENT_CLIENT_SECRET);
	if (!s || secret_len(s) != 12 ||
	    strncmp((const char *)secret_view(s), "s3cret-value", 12) != 0)
		return "not read";
	if (getenv("AZURE_CLIENT_SECRET"))
		return "still set";
	if (strstr(variable, "s3cret")) /* its bytes, which /proc/PID/environ shows */
		return "still readable";
	if (identity_environment_secret(ENVIRONMENT_IDENTITY_HEADER))
		return "from nowhere";
	if (settle(&g, &id, &err) < 0 || id.kind != IDENTITY_CLIENT_SECRET)
		return "not used";
	return NULL;
}

static void secrets_leave_the_environment(void **state)
{
	int status;
	pid_t child;

	(void)state;
	set_environment((const environment){ NULL });
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const char *wrong = take_secret();

		print_error("%s\n", wrong ? wrong : "");
		_exit(wrong != NULL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_leave_the_environment),
		cmocka_unit_test(kinds_are_settled),
		cmocka_unit_test(what_is_missing_is_named),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
