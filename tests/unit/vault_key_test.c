/* SPDX-License-Identifier: Apache-2.0 */
/* Key Vault's answers about keys: one, all its versions, and those of its operations. */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/vault/azure_key.h"
#include "../support/answers.h"
#include "tdefs/base64url.h"

#define V1  "0123456789abcdef0123456789abcdef"
#define V2  "fedcba9876543210fedcba9876543210"
#define KID "https://v.vault.azure.net/keys/k"

static struct kid kid_of(const char *text)
{
	struct kid k;

	assert_int_equal(kid_parse(text, &k), 0);
	return k;
}

/* Keys. */

struct bundle {
	const char *kid, *kty, *key_ops, *e, *attributes;
	size_t n_len; /* bytes of the modulus, 0xc5 each */
	bool leading_zero;
};

static const struct bundle plain_bundle = {
	.kid = KID "/" V1,
	.kty = "RSA",
	.key_ops = "[\"wrapKey\",\"unwrapKey\"]",
	.e = "AQAB",
	.attributes = "{\"enabled\":true,\"recoveryLevel\":\"Recoverable\"}",
	.n_len = 256,
};

static struct net_answer bundle_answer(const struct bundle *b)
{
	static char text[8192];
	static char n[BASE64URL_LEN(2048)];
	static uint8_t modulus[2048];

	memset(modulus, 0xc5, sizeof(modulus));
	if (b->leading_zero)
		modulus[0] = 0;
	base64url_encode(modulus, b->n_len + b->leading_zero, n);
	(void)snprintf(text, sizeof(text),
		       "{\"key\":{\"kid\":\"%s\",\"kty\":\"%s\",\"key_ops\":%s,\"n\":\"%s\",\"e\":"
		       "\"%s\",\"unknown\":[1]},\"attributes\":%s,\"tags\":{\"a\":\"b\"}}",
		       b->kid, b->kty, b->key_ops, n, b->e, b->attributes);
	return answer_of(200, text);
}

static const char *parse_bundle(const struct bundle *b, const char *asked, struct vault_key *ret)
{
	struct net_answer a = bundle_answer(b);
	struct kid k = kid_of(asked);
	const char *wrong = azure_key_parse(&a, &k, ret);

	net_answer_release(&a);
	return wrong;
}

static void keys_are_read(void **state)
{
	struct bundle b = plain_bundle;
	struct vault_key k, zero;

	(void)state;
	assert_null(parse_bundle(&b, KID "/" V1, &k));
	assert_string_equal(k.kid, KID "/" V1);
	assert_int_equal(k.bits, 2048);
	assert_true(k.remote && k.enabled && k.may_wrap && k.may_unwrap && !k.hsm);
	assert_true(k.soft_delete && k.purge_protection);
	assert_int_equal(k.not_before, 0);
	assert_int_equal(k.expires, 0);
	assert_null(parse_bundle(&b, KID, &k)); /* whichever version is newest */
	assert_null(parse_bundle(&b, "https://V.VAULT.azure.net:443/keys/K", &k));
	/* HSM keys of vaults carry leading zeros: the same key, the same thumbprint. */
	b.leading_zero = true;
	b.e = "AAEAAQ";
	b.kty = "RSA-HSM";
	assert_null(parse_bundle(&b, KID, &zero));
	assert_true(zero.hsm);
	assert_int_equal(zero.bits, 2048);
	b.leading_zero = false;
	b.n_len = 384;
	assert_null(parse_bundle(&b, KID, &k));
	assert_int_equal(k.bits, 3072);
	b = plain_bundle;
	assert_null(parse_bundle(&b, KID, &k));
	b.e = "AAEAAQ";
	assert_null(parse_bundle(&b, KID, &zero));
	assert_memory_equal(k.thumbprint, zero.thumbprint, THUMBPRINT_LEN);
}

static void attributes_are_read_as_the_vault_means_them(void **state)
{
	static const struct {
		const char *attributes;
		bool enabled;
		uint64_t nbf, exp, created;
	} cases[] = {
		{ "{}", true, 0, 0, 0 }, /* absent: as in the SDKs */
		{ "{\"enabled\":true,\"nbf\":5,\"exp\":7,\"created\":4}", true, 5, 7, 4 },
		{ "{\"enabled\":false}", false, 0, 0, 0 },
		{ "{\"enabled\":\"false\"}", false, 0, 0, 0 },
		{ "{\"enabled\":0}", false, 0, 0, 0 },
		{ "{\"enabled\":true,\"nbf\":0,\"exp\":4102444800}", true, 0, 4102444800, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bundle b = plain_bundle;
		struct vault_key k;

		b.attributes = cases[i].attributes;
		assert_null(parse_bundle(&b, KID, &k));
		if (k.enabled != cases[i].enabled)
			fail_msg("%s", cases[i].attributes);
		assert_int_equal(k.not_before, cases[i].nbf);
		assert_int_equal(k.expires, cases[i].exp);
		assert_int_equal(k.created, cases[i].created);
		assert_string_equal(k.recovery_level, "");
		assert_false(k.soft_delete || k.purge_protection);
	}
}

static void operations_are_a_set(void **state)
{
	static const struct {
		const char *key_ops;
		bool wrap, unwrap;
	} cases[] = {
		{ "[\"sign\",\"unwrapKey\",\"verify\",\"wrapKey\"]", true, true },
		{ "[\"wrapKey\"]", true, false },
		{ "[\"unwrapKey\"]", false, true },
		{ "[]", false, false },
		{ "null", false, false },
		{ "\"wrapKey\"", false, false },
		{ "[1,null,[\"wrapKey\"],\"wrapkey\",\"wrapKey \"]", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bundle b = plain_bundle;
		struct vault_key k;

		b.key_ops = cases[i].key_ops;
		assert_null(parse_bundle(&b, KID, &k));
		assert_int_equal(k.may_wrap, cases[i].wrap);
		assert_int_equal(k.may_unwrap, cases[i].unwrap);
	}
}

static void other_keys_are_refused(void **state)
{
	static const struct {
		struct bundle b;
		const char *asked, *why;
	} cases[] = {
		{ { .kid = KID "/" V2 }, KID "/" V1, "another key" },
		{ { .kid = "https://w.vault.azure.net/keys/k/" V1 }, KID, "another key" },
		{ { .kid = "https://v.vault.azure.net/keys/kk/" V1 }, KID, "another key" },
		{ { .kid = "https://v.vault.azure.net:444/keys/k/" V1 }, KID, "another key" },
		{ { .kid = KID }, KID, "another key" }, /* no version */
		{ { .kid = "" }, KID, "another key" },
		{ { .kty = "EC" }, KID, "not an RSA key" },
		{ { .kty = "oct-HSM" }, KID, "not an RSA key" },
		{ { .kty = "rsa" }, KID, "not an RSA key" },
		{ { .e = "" }, KID, "no modulus or exponent" },
		{ { .e = "AQ==" }, KID, "no modulus or exponent" },
		{ { .n_len = 0, .e = "AQAB" }, KID, "no modulus or exponent" },
		{ { .n_len = 1025 }, KID, "no modulus or exponent" },
		{ { .attributes = "[]" }, KID, "not a key" },
		{ { .attributes = "null" }, KID, "not a key" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bundle b = plain_bundle;
		struct vault_key k = { .bits = 77 };
		const char *wrong;

		b.kid = cases[i].b.kid ? cases[i].b.kid : b.kid;
		b.kty = cases[i].b.kty ? cases[i].b.kty : b.kty;
		b.e = cases[i].b.e ? cases[i].b.e : b.e;
		b.attributes = cases[i].b.attributes ? cases[i].b.attributes : b.attributes;
		if (cases[i].b.n_len || cases[i].b.e)
			b.n_len = cases[i].b.n_len;
		wrong = parse_bundle(&b, cases[i].asked, &k);
		if (!wrong || !strstr(wrong, cases[i].why))
			fail_msg("case %zu: %s", i, wrong ? wrong : "accepted");
		assert_int_equal(k.bits, 77); /* untouched */
	}
}

static void other_bodies_are_no_keys(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"null",
		"{\"key\":1,\"attributes\":{}}",
		"{\"key\":{},\"attributes\":{}}",
		"{\"key\":{\"kid\":7},\"attributes\":{}}",
		"{\"key\":{\"kid\":\"" KID "/" V1 "\"},\"attributes\":{}}",
		"{\"key\":{\"kid\":\"" KID "/" V1 "\",\"kty\":\"RSA\",\"e\":\"AQAB\"},"
		"\"attributes\":{}}",
		"{\"key\":{\"kid\":\"" KID "/" V1 "\",\"kty\":\"RSA\",\"n\":7,\"e\":\"AQAB\"},"
		"\"attributes\":{}}",
		"{\"key\":{\"kid\":\"" KID "/" V1
		"\",\"kty\":\"RSA\",\"n\":\"xQ\"},\"attributes\":{}}",
		"{\"key\":{\"kid\":\"" KID "/" V1 "\",\"kid\":\"" KID "/" V1
		"\",\"kty\":\"RSA\",\"n\":\"xQ\",\"e\":\"AQAB\"},\"attributes\":{}}",
	};
	struct kid asked = kid_of(KID);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct net_answer a = answer_of(200, bad[i]);
		struct vault_key k;

		if (!azure_key_parse(&a, &asked, &k))
			fail_msg("accepted: %s", bad[i]);
		net_answer_release(&a);
	}
}

static void recovery_levels_mean_what_the_reference_says(void **state)
{
	static const struct {
		const char *level;
		bool soft, protection;
	} cases[] = {
		{ "Purgeable", false, false },
		{ "Recoverable+Purgeable", true, false },
		{ "Recoverable", true, true },
		{ "Recoverable+ProtectedSubscription", true, true },
		{ "CustomizedRecoverable+Purgeable", true, false },
		{ "CustomizedRecoverable", true, true },
		{ "CustomizedRecoverable+ProtectedSubscription", true, true },
		/* Whatever is not in the table protects nothing. */
		{ "", false, false },
		{ "recoverable", false, false },
		{ "Recoverable ", false, false },
		{ "RecoverableX", false, false },
		{ "Recoverable+Something", true, false },
		{ "Recoverable+", true, false },
		{ "+Recoverable", true, false },
		{ "Recoverable++ProtectedSubscription", true, false },
		{ "Purgeable+Recoverable", true, false },
		{ "ProtectedSubscription", false, false },
		{ "Recoverable+ProtectedSubscription+Purgeable", true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vault_key k = { .soft_delete = true, .purge_protection = true };

		azure_recovery_parse(cases[i].level, &k);
		if (k.soft_delete != cases[i].soft || k.purge_protection != cases[i].protection)
			fail_msg("%s", cases[i].level);
		assert_string_equal(k.recovery_level, cases[i].level);
	}
}

static void recovery_levels_are_plain_text(void **state)
{
	struct vault_key k = { 0 };

	(void)state;
	azure_recovery_parse("Recoverable\x1b[2J\n\xc3\xa9 and more than there is room for in the "
			     "struct that holds it",
			     &k);
	for (const char *p = k.recovery_level; *p; p++)
		assert_in_range(*p, 0x20, 0x7e);
}

/* Lists of versions. */

static struct vault_versions list;

static const char *add_page(const char *body, char *next)
{
	struct net_answer a = answer_of(200, body);
	struct kid asked = kid_of(KID);
	const char *wrong = azure_versions_parse(&a, &asked, &list, next);

	net_answer_release(&a);
	return wrong;
}

static void version_lists_are_joined_and_sorted(void **state)
{
	char next[AZURE_URL_MAX];

	(void)state;
	list.count = 0;
	assert_null(add_page("{\"value\":[{\"kid\":\"" KID "/" V1
			     "\",\"attributes\":{\"enabled\":true,\"created\":5}}],\"nextLink\":"
			     "\"https://v.vault.azure.net:443/keys/k/versions?$skiptoken=x\"}",
			     next));
	assert_string_equal(next, "https://v.vault.azure.net:443/keys/k/versions?$skiptoken=x");
	assert_null(add_page("{\"value\":[{\"kid\":\"" KID "/" V2
			     "\",\"attributes\":{\"enabled\":false,\"created\":9}}],\"nextLink\":"
			     "\"https://v.vault.azure.net/keys/k/versions?y\"}",
			     next));
	assert_null(add_page("{\"value\":[],\"nextLink\":null}", next)); /* as recorded */
	assert_string_equal(next, "");
	assert_null(add_page("{\"value\":[]}", next));
	assert_int_equal(list.count, 2);
	azure_versions_sort(&list);
	assert_string_equal(list.versions[0].kid, KID "/" V2);
	assert_false(list.versions[0].enabled);
	assert_int_equal(list.versions[1].created, 5);
}

static void lists_never_lead_elsewhere(void **state)
{
	static const char *const bad[] = {
		"\"https://evil.example/keys/k/versions\"",
		"\"https://v.vault.azure.net.evil.example/\"",
		"\"https://v.vault.azure.net@evil.example/\"",
		"\"https://v.vault.azure.net:444/\"",
		"\"https://v.vault.azure.net\"",
		"\"http://v.vault.azure.net/keys/k/versions\"",
		"\"//v.vault.azure.net/\"",
		"\"/keys/k/versions\"",
		"7",
		"[]",
		"{}",
	};
	char next[AZURE_URL_MAX], body[4096], huge[3000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(body, sizeof(body), "{\"value\":[],\"nextLink\":%s}", bad[i]);
		if (!add_page(body, next))
			fail_msg("followed: %s", bad[i]);
		assert_string_equal(next, "");
	}
	memset(huge, 'x', sizeof(huge));
	huge[AZURE_URL_MAX - 26] = '\0'; /* with the host: one too long */
	(void)snprintf(body, sizeof(body),
		       "{\"value\":[],\"nextLink\":\"https://v.vault.azure.net/%s\"}", huge);
	assert_non_null(add_page(body, next));
	huge[AZURE_URL_MAX - 27] = '\0';
	(void)snprintf(body, sizeof(body),
		       "{\"value\":[],\"nextLink\":\"https://v.vault.azure.net/%s\"}", huge);
	assert_null(add_page(body, next));
	assert_int_equal(strlen(next), AZURE_URL_MAX - 1);
}

static void strange_lists_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"value\":null}",
		"{\"value\":{}}",
		"{\"value\":[1]}",
		"{\"value\":[{}]}",
		"{\"value\":[{\"kid\":\"" KID "/" V1 "\"}]}",
		"{\"value\":[{\"kid\":\"" KID "\",\"attributes\":{}}]}",
		"{\"value\":[{\"kid\":\"https://v.vault.azure.net/keys/other/" V1
		"\",\"attributes\":{}}]}",
		"{\"value\":[{\"kid\":\"https://w.vault.azure.net/keys/k/" V1
		"\",\"attributes\":{}}]}",
	};
	char next[AZURE_URL_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!add_page(bad[i], next))
			fail_msg("accepted: %s", bad[i]);
}

static void lists_have_a_limit(void **state)
{
	char next[AZURE_URL_MAX], body[256];

	(void)state;
	list.count = 0;
	for (unsigned i = 0; i < VAULT_VERSIONS_MAX; i++) {
		(void)snprintf(body, sizeof(body),
			       "{\"value\":[{\"kid\":\"" KID
			       "/%032x\",\"attributes\":{\"created\":%u}}]}",
			       i, i);
		assert_null(add_page(body, next));
	}
	assert_int_equal(list.count, VAULT_VERSIONS_MAX);
	assert_non_null(add_page(body, next));
	assert_int_equal(list.count, VAULT_VERSIONS_MAX);
}

/* The kid of a wrap or unwrap answer. */

static void operations_answer_with_the_key_that_was_asked(void **state)
{
	static const struct {
		const char *body, *asked;
		bool good;
	} cases[] = {
		{ "{\"kid\":\"" KID "/" V1 "\",\"value\":\"x\"}", KID "/" V1, true },
		{ "{\"kid\":\"" KID "/" V1 "\",\"value\":\"x\"}", KID, true },
		{ "{\"kid\":\"https://V.vault.azure.net/keys/K/" V1 "\",\"alg\":\"x\"}", KID,
		  true },
		{ "{\"kid\":\"" KID "/" V2 "\",\"value\":\"x\"}", KID "/" V1, false },
		{ "{\"kid\":\"" KID "\"}", KID, false },
		{ "{\"kid\":\"" KID "/" V1 "\\u0000\"}", KID, false },
		{ "{\"kid\":7}", KID, false },
		{ "{\"kid\":null}", KID, false },
		{ "{\"value\":\"x\"}", KID, false },
		{ "{\"kid\":\"" KID "/" V1 "\",\"kid\":\"" KID "/" V1 "\"}", KID, false },
		{ "", KID, false },
	};
	char kid[KID_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_answer a = answer_of(200, cases[i].body);
		struct kid asked = kid_of(cases[i].asked);

		if ((azure_kid_parse(&a, &asked, kid) == NULL) != cases[i].good)
			fail_msg("case %zu: %s", i, cases[i].body);
		net_answer_release(&a);
	}
}

static int no_secret_is_left(void **state)
{
	(void)state;
	return secret_count() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_read),
		cmocka_unit_test(attributes_are_read_as_the_vault_means_them),
		cmocka_unit_test(operations_are_a_set),
		cmocka_unit_test(other_keys_are_refused),
		cmocka_unit_test(other_bodies_are_no_keys),
		cmocka_unit_test(recovery_levels_mean_what_the_reference_says),
		cmocka_unit_test(recovery_levels_are_plain_text),
		cmocka_unit_test(version_lists_are_joined_and_sorted),
		cmocka_unit_test(lists_never_lead_elsewhere),
		cmocka_unit_test(strange_lists_are_refused),
		cmocka_unit_test(lists_have_a_limit),
		cmocka_unit_test(operations_answer_with_the_key_that_was_asked),
	};

	return cmocka_run_group_tests_name("vault_key", tests, NULL, no_secret_is_left);
}
