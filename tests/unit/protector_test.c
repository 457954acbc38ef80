/* SPDX-License-Identifier: Apache-2.0 */
/* What a protector must be, one requirement missing at a time; which kids it covers. */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/protector.h"

#define V1  "0123456789abcdef0123456789abcdef"
#define V2  "fedcba9876543210fedcba9876543210"
#define KID "https://v.vault.azure.net/keys/k"
#define NOW ((uint64_t)1700000000)

/* A vault that does as it is told; "wrapped" is the plain text, turned around. */
static struct fake {
	struct vault vault;
	struct vault_key key;
	enum vault_verdict get, wrap, unwrap;
	bool garbles;
	unsigned calls;
} fake;

static enum vault_verdict answer(enum vault_verdict v, const char *what, struct vault_report *rep)
{
	fake.calls++;
	*rep = (struct vault_report){ .verdict = v };
	if (v != VAULT_GRANTED) {
		errmsg_next(&rep->error, "do something about %s", what);
		IGNORE_RESULT(errmsg_fail(&rep->error, -EIO, EXIT_CODE_FAILED, "no %s", what), "");
	}
	return v;
}

static enum vault_verdict fake_get(struct vault *v, const char *kid, unsigned timeout_ms,
				   struct vault_key *ret_key, struct vault_report *rep)
{
	assert_true(timeout_ms > 0);
	assert_string_equal(kid, KID);
	assert_ptr_equal(v, &fake.vault);
	if (fake.get == VAULT_GRANTED)
		*ret_key = fake.key;
	return answer(fake.get, "get", rep);
}

static void turn(const uint8_t *from, size_t len, uint8_t *to)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[i] ^ 0xff;
	if (fake.garbles)
		to[0] ^= 1;
}

static enum vault_verdict fake_wrap(struct vault *v, const char *kid, const struct secret *plain,
				    unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				    struct vault_report *rep)
{
	(void)v, (void)timeout_ms;
	assert_string_equal(kid, fake.key.kid); /* the version that was looked at */
	if (fake.wrap == VAULT_GRANTED) {
		*ret_wrapped = (struct vault_wrapped){ .algorithm = WRAP_RSA_OAEP_256,
						       .len = secret_len(plain) };
		(void)snprintf(ret_wrapped->kid, sizeof(ret_wrapped->kid), "%s", kid);
		turn(secret_view(plain), secret_len(plain), ret_wrapped->bytes);
	}
	return answer(fake.wrap, "wrapKey", rep);
}

static enum vault_verdict fake_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				      unsigned timeout_ms, struct secret **ret_plain,
				      struct vault_report *rep)
{
	(void)v, (void)timeout_ms;
	assert_string_equal(wrapped->kid, fake.key.kid);
	if (fake.unwrap == VAULT_GRANTED) {
		fake.garbles = false;
		*ret_plain = secret_new(wrapped->len);
		turn(wrapped->bytes, wrapped->len, secret_bytes(*ret_plain));
	}
	return answer(fake.unwrap, "unwrapKey", rep);
}

static const struct vault_ops fake_ops = {
	.name = "fake",
	.get = fake_get,
	.wrap = fake_wrap,
	.unwrap = fake_unwrap,
};

static int setup(void **state)
{
	(void)state;
	fake = (struct fake){ .vault = { &fake_ops },
			      .key = { .kid = KID "/" V1,
				       .bits = 3072,
				       .remote = true,
				       .enabled = true,
				       .may_wrap = true,
				       .may_unwrap = true,
				       .recovery_level = "Recoverable",
				       .soft_delete = true,
				       .purge_protection = true } };
	return 0;
}

static const struct policy strict = { .minimum_rsa_bits = 2048, .require_purge_protection = true },
			   lax;
static struct protector_report report;

static const struct requirement *requirement(const char *name)
{
	for (size_t i = 0; i < report.count; i++)
		if (strcmp(report.requirements[i].name, name) == 0)
			return &report.requirements[i];
	fail_msg("no requirement %s", name);
	return NULL;
}

static void check(const struct policy *policy)
{
	protector_check(&fake.vault, KID, policy, NOW, &report);
	assert_true(report.count <= REQUIREMENTS_MAX);
	for (size_t i = 0; i < report.count; i++) {
		const struct requirement *q = &report.requirements[i];

		assert_true(q->text[0]);
		/* Whoever is told that something is missing is told what to do. */
		if (q->state == REQUIREMENT_MISSING || q->state == REQUIREMENT_NOTED)
			assert_true(q->next[0]);
		if (q->state == REQUIREMENT_MET)
			assert_string_equal(q->next, "");
	}
}

static void a_fit_key_meets_the_whole_list(void **state)
{
	static const char *const names[] = { "get",
					     "customer-managed",
					     "key-size",
					     "enabled",
					     "activation-date",
					     "expiration-date",
					     "key-operations",
					     "soft-delete",
					     "purge-protection",
					     "wrapKey",
					     "unwrapKey",
					     "round-trip" };
	struct errmsg err = { 0 };

	(void)state;
	check(&strict);
	assert_int_equal(report.count, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_string_equal(report.requirements[i].name, names[i]);
		assert_int_equal(report.requirements[i].state, REQUIREMENT_MET);
	}
	assert_int_equal(protector_verdict(&report, KID, &err), 0);
	assert_string_equal(report.key.kid, KID "/" V1);
	assert_int_equal(fake.calls, 3);
}

/* One thing wrong each. */
static void disabled(void)
{
	fake.key.enabled = false;
}
static void not_yet(void)
{
	fake.key.not_before = NOW + 1;
}
static void expired(void)
{
	fake.key.expires = NOW;
}
static void no_wrap_op(void)
{
	fake.key.may_wrap = false;
}
static void no_unwrap_op(void)
{
	fake.key.may_unwrap = false;
}
static void no_soft_delete(void)
{
	fake.key.soft_delete = fake.key.purge_protection = false;
	fake.key.recovery_level[0] = '\0';
}
static void purgeable(void)
{
	fake.key.purge_protection = false;
}
static void a_file(void)
{
	fake.key.remote = false;
	(void)snprintf(fake.key.kid, sizeof(fake.key.kid), "file:/p.pem");
}
static void bits_1024(void)
{
	fake.key.bits = 1024;
}
static void bits_2047(void)
{
	fake.key.bits = 2047;
}
static void bits_8192(void)
{
	fake.key.bits = 8192;
}
static void get_denied(void)
{
	fake.get = VAULT_DENIED;
}
static void get_unreachable(void)
{
	fake.get = VAULT_UNREACHABLE;
}
static void get_broken(void)
{
	fake.get = VAULT_BROKEN;
}
static void wrap_denied(void)
{
	fake.wrap = VAULT_DENIED;
}
static void unwrap_denied(void)
{
	fake.unwrap = VAULT_DENIED;
}
static void unwrap_unreachable(void)
{
	fake.unwrap = VAULT_UNREACHABLE;
}
static void garbled(void)
{
	fake.garbles = true;
}

static void each_requirement_may_be_missing(void **state)
{
	static const struct {
		void (*spoil)(void);
		const char *name;
		int error;
		enum exit_code code;
		unsigned calls;
	} cases[] = {
		{ disabled, "enabled", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ not_yet, "activation-date", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ expired, "expiration-date", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ no_wrap_op, "key-operations", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ no_unwrap_op, "key-operations", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ no_soft_delete, "soft-delete", -EKEYREJECTED, EXIT_CODE_POLICY, 1 },
		{ purgeable, "purge-protection", -EKEYREJECTED, EXIT_CODE_POLICY, 1 },
		{ bits_1024, "key-size", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ bits_2047, "key-size", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ bits_8192, "key-size", -EKEYREJECTED, EXIT_CODE_CONFIG, 1 },
		{ get_denied, "get", -EKEYREVOKED, EXIT_CODE_FAILED, 1 },
		{ get_unreachable, "get", -ENOKEY, EXIT_CODE_TRY_AGAIN, 1 },
		{ get_broken, "get", -EKEYREJECTED, EXIT_CODE_FAILED, 1 },
		{ wrap_denied, "wrapKey", -EKEYREVOKED, EXIT_CODE_FAILED, 2 },
		{ unwrap_denied, "unwrapKey", -EKEYREVOKED, EXIT_CODE_FAILED, 3 },
		{ unwrap_unreachable, "unwrapKey", -ENOKEY, EXIT_CODE_TRY_AGAIN, 3 },
		{ garbled, "round-trip", -EKEYREJECTED, EXIT_CODE_CONFIG, 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errmsg err = { 0 };

		setup(NULL);
		cases[i].spoil();
		check(&strict);
		if (requirement(cases[i].name)->state != REQUIREMENT_MISSING)
			fail_msg("case %zu: %s is not missed", i, cases[i].name);
		assert_int_equal(protector_verdict(&report, KID, &err), cases[i].error);
		assert_int_equal(err.exit_code, cases[i].code);
		assert_non_null(strstr(err.text, cases[i].name));
		assert_non_null(strstr(err.text, KID));
		assert_true(err.next[0]);
		/* What is unfit by its description is never used. */
		assert_int_equal(fake.calls, cases[i].calls);
		if (cases[i].calls < 3)
			assert_int_equal(requirement("unwrapKey")->state, REQUIREMENT_UNKNOWN);
	}
}

static void dates_are_met_to_the_second(void **state)
{
	(void)state;
	fake.key.not_before = NOW;
	fake.key.expires = NOW + 1;
	check(&strict);
	assert_int_equal(requirement("activation-date")->state, REQUIREMENT_MET);
	assert_int_equal(requirement("expiration-date")->state, REQUIREMENT_MET);
	assert_string_equal(requirement("activation-date")->text, "2023-11-14 22:13 UTC");
}

static void a_policy_that_is_off_makes_it_a_note(void **state)
{
	struct errmsg err = { 0 };

	(void)state;
	no_soft_delete();
	check(&lax);
	assert_int_equal(requirement("soft-delete")->state, REQUIREMENT_NOTED);
	assert_int_equal(requirement("purge-protection")->state, REQUIREMENT_NOTED);
	assert_int_equal(requirement("round-trip")->state, REQUIREMENT_MET);
	assert_int_equal(protector_verdict(&report, KID, &err), 0);
}

static void sizes_of_azure_are_met(void **state)
{
	static const struct {
		unsigned bits;
		enum requirement_state state;
	} cases[] = { { 2048, REQUIREMENT_MET },
		      { 3072, REQUIREMENT_MET },
		      { 4096, REQUIREMENT_NOTED } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errmsg err = { 0 };

		fake.key.bits = cases[i].bits;
		check(&strict);
		assert_int_equal(requirement("key-size")->state, cases[i].state);
		assert_int_equal(protector_verdict(&report, KID, &err), 0);
	}
}

/* Of the vault's answer and the policy, one thing wrong each: the policy is named. */
static void a_refusal_names_its_policy(void **state)
{
	static const struct {
		struct policy policy;
		void (*spoil)(void);
		const char *name, *requirement;
	} cases[] = {
		{ { .minimum_rsa_bits = 3073 }, NULL, "minimum_rsa_bits", "key-size" },
		{ { .require_purge_protection = true },
		  purgeable,
		  "require_purge_protection",
		  "purge-protection" },
		{ { .customer_managed_key = POLICY_DENY },
		  a_file,
		  "customer_managed_key",
		  "customer-managed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errmsg err = { 0 };

		setup(NULL);
		if (cases[i].spoil)
			cases[i].spoil();
		check(&cases[i].policy);
		assert_int_equal(requirement(cases[i].requirement)->state, REQUIREMENT_MISSING);
		assert_true(protector_verdict(&report, KID, &err) < 0);
		assert_int_equal(err.exit_code, EXIT_CODE_POLICY);
		assert_string_equal(err.policy, cases[i].name);
		assert_int_equal(fake.calls, 1);
	}
}

static void a_platform_key_is_noted_unless_it_is_denied(void **state)
{
	const struct policy audit = { .customer_managed_key = POLICY_AUDIT },
			    off = { .customer_managed_key = POLICY_DISABLED };

	(void)state;
	a_file();
	check(&audit);
	assert_int_equal(requirement("customer-managed")->state, REQUIREMENT_NOTED);
	check(&off);
	assert_int_equal(requirement("customer-managed")->state, REQUIREMENT_MET);
}

/* A PEM file has neither dates nor recovery: only kind, size and use are asked for. */
static void local_keys_have_a_shorter_list(void **state)
{
	struct errmsg err = { 0 };

	(void)state;
	fake.key = (struct vault_key){ .kid = KID "/" V1, .bits = 2048 };
	check(&strict);
	assert_int_equal(report.count, 6);
	assert_int_equal(protector_verdict(&report, KID, &err), 0);
}

static void absurd_dates_are_no_crash(void **state)
{
	(void)state;
	fake.key.not_before = 1;
	fake.key.expires = INT64_MAX;
	check(&strict);
	assert_int_equal(requirement("expiration-date")->state, REQUIREMENT_MET);
}

static void protectors_cover_kids(void **state)
{
	static const struct {
		const char *protector, *kid;
		bool covers;
	} cases[] = {
		{ KID, KID "/" V1, true },
		{ KID, KID "/" V2, true },
		{ KID "/", KID "/" V2, true },
		{ KID "/" V1, KID "/" V1, true },
		{ "https://V.VAULT.azure.net:443/keys/K/" V1, KID "/" V1, true },
		{ KID "/" V1, KID "/" V2, false },
		{ KID "/" V1, KID, false },
		{ KID, "https://w.vault.azure.net/keys/k/" V1, false },
		{ KID, "https://v.vault.azure.net/keys/kk/" V1, false },
		{ KID, "https://v.vault.azure.net:8443/keys/k/" V1, false },
		{ KID, "file:/k.pem", false },
		{ "file:/k.pem", "file:/k.pem", true },
		{ "file:/k.pem", "file:/K.pem", false },
		{ "file:/k.pem", "file:/k.pem/", false },
		{ "file:/k.pem", KID, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (protector_covers(cases[i].protector, cases[i].kid) != cases[i].covers)
			fail_msg("%s and %s", cases[i].protector, cases[i].kid);
}

static void wrapping_is_proved_by_unwrapping(void **state)
{
	struct secret *plain = secret_new(32);
	struct vault_wrapped w;
	struct errmsg err = { 0 };

	(void)state;
	assert_int_equal(protector_wrap(&fake.vault, KID "/" V1, plain, NULL, &w, &err), 0);
	fake.garbles = true;
	assert_int_equal(protector_wrap(&fake.vault, KID "/" V1, plain, NULL, &w, &err),
			 -EKEYREJECTED);
	assert_true(err.next[0]);
	fake.unwrap = VAULT_DENIED;
	assert_int_equal(protector_wrap(&fake.vault, KID "/" V1, plain, NULL, &w, &err),
			 -EKEYREVOKED);
	fake.wrap = VAULT_UNREACHABLE;
	assert_int_equal(protector_wrap(&fake.vault, KID "/" V1, plain, NULL, &w, &err), -ENOKEY);
	assert_string_equal(err.text, "no wrapKey");
	secret_free(plain);
}

static int no_secret_is_left(void **state)
{
	(void)state;
	return secret_count() != 0;
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fit_key_meets_the_whole_list),
		TEST(each_requirement_may_be_missing),
		TEST(dates_are_met_to_the_second),
		TEST(a_policy_that_is_off_makes_it_a_note),
		TEST(sizes_of_azure_are_met),
		TEST(a_refusal_names_its_policy),
		TEST(a_platform_key_is_noted_unless_it_is_denied),
		TEST(local_keys_have_a_shorter_list),
		TEST(absurd_dates_are_no_crash),
		TEST(protectors_cover_kids),
		TEST(wrapping_is_proved_by_unwrapping),
	};

	return cmocka_run_group_tests_name("protector", tests, NULL, no_secret_is_left);
}
