/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of any status and body: one verdict, and never a key or token that is none. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../../src/vault/azure_answer.h"
#include "../../src/vault/azure_key.h"
#include "../../src/vault/token.h"
#include "../support/answers.h"
#include "fuzz.h"

#define KID  "https://v.vault.azure.net/keys/k"
#define BOOT ((uint64_t)1000000)
#define NOW  ((uint64_t)1700000000)

static const int statuses[] = { 200, 201, 302, 400, 401, 403, 404, 408, 409, 429, 500, 503 };

static void check_text(const char *text)
{
	for (; *text; text++)
		assert(*text >= 0x20 && *text < 0x7f);
}

static void check_report(enum vault_verdict v, const struct vault_report *rep, int status)
{
	assert(v == rep->verdict && v <= VAULT_BROKEN && rep->http_status == status);
	assert(v != VAULT_GRANTED || status == 200);
	assert((v == VAULT_GRANTED) == (rep->error.text[0] == '\0'));
	assert((v == VAULT_GRANTED) == (rep->error.next[0] == '\0'));
	assert(!rep->credential_alarm || v == VAULT_UNREACHABLE);
	check_text(rep->code);
	check_text(rep->inner_code);
	check_text(rep->message);
	check_text(rep->error.text);
}

static void judge(const struct net_answer *a)
{
	struct vault_report rep;
	enum vault_verdict v = azure_judge(a, "get K", &rep);

	check_report(v, &rep, a->status);
	/* Only the two say no, and only in the vault's own words. */
	assert(v != VAULT_DENIED ||
	       ((a->status == 403 || a->status == 404) && rep.code[0] && a->request_id[0]));
	v = azure_judge_token(a, "token", &rep);
	check_report(v, &rep, a->status);
	assert(v != VAULT_DENIED || a->status == 400 || a->status == 401);
}

static void parse_key(const struct net_answer *a, const struct kid *asked)
{
	char kid[KID_MAX + 1];
	struct vault_key k;
	struct kid named;

	if (!azure_key_parse(a, asked, &k)) {
		assert(kid_parse(k.kid, &named) == 0 && named.version[0]);
		assert(strcmp(named.host, asked->host) == 0 && k.remote);
		assert(k.bits <= 8192 && (!k.purge_protection || k.soft_delete));
		check_text(k.recovery_level);
	}
	if (!azure_kid_parse(a, asked, kid))
		assert(kid_parse(kid, &named) == 0 && strcmp(named.host, asked->host) == 0);
}

static void parse_list(const struct net_answer *a, const struct kid *asked)
{
	static struct vault_versions list;
	char next[AZURE_URL_MAX];

	list.count = 0;
	if (azure_versions_parse(a, asked, &list, next))
		return;
	assert(list.count <= VAULT_VERSIONS_MAX);
	assert(!next[0] || strncasecmp(next, "https://v.vault.azure.net", 25) == 0);
	azure_versions_sort(&list);
	for (size_t i = 1; i < list.count; i++)
		assert(list.versions[i - 1].created >= list.versions[i].created);
}

static void parse_token(const struct net_answer *a)
{
	struct token t = { 0 };

	if (!token_parse(a, BOOT, NOW, &t)) {
		assert(secret_len(t.text) > 0 && t.expires_ms > BOOT);
		assert(t.refresh_ms > BOOT && t.refresh_ms <= t.expires_ms);
		assert(t.expires_ms - BOOT <= (uint64_t)7 * 24 * 3600 * 1000);
		assert(!memchr(secret_view(t.text), '\n', secret_len(t.text)));
	}
	token_release(&t);
}

/* The first byte chooses the status; the rest is the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t before = secret_count();
	struct net_answer a;
	struct kid asked;

	if (size == 0)
		return 0;
	assert(kid_parse(KID, &asked) == 0);
	a = answer_of_bytes(statuses[data[0] % ARRAY_SIZE(statuses)], data + 1, size - 1);
	assert(a.body);
	if (data[0] & 0x80)
		(void)snprintf(a.request_id, sizeof(a.request_id), "1");
	judge(&a);
	parse_key(&a, &asked);
	parse_list(&a, &asked);
	parse_token(&a);
	net_answer_release(&a);
	assert(secret_count() == before);
	return 0;
}
