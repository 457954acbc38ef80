/* SPDX-License-Identifier: Apache-2.0 */
/* The policy on customer-managed keys: what a protector is, and every row of its table. */
#include "../support/test.h"

#include <errno.h>
#include <string.h>

#include "tdefs/policy.h"

#define AZURE "https://contoso.vault.azure.net/keys/tde"
#define LOCAL "https://127.0.0.1:8443/keys/tde"
#define FILE_ "file:/etc/tdefs/protector.pem"

static void a_protector_is_what_its_kid_says(void **state)
{
	static const struct {
		const char *kid;
		enum protector_kind kind;
		const char *name;
	} cases[] = {
		{ AZURE, PROTECTOR_CUSTOMER_MANAGED, "customer-managed" },
		{ "https://CONTOSO.Vault.Azure.Net/keys/tde", PROTECTOR_CUSTOMER_MANAGED,
		  "customer-managed" },
		{ "https://h.managedhsm.azure.net/keys/k/0123456789abcdef0123456789abcdef",
		  PROTECTOR_CUSTOMER_MANAGED, "customer-managed" },
		{ "https://x.vault.azure.cn/keys/k", PROTECTOR_CUSTOMER_MANAGED,
		  "customer-managed" },
		{ LOCAL, PROTECTOR_LOCAL_VAULT, "local-vault" },
		/* Names that only look like Azure's. */
		{ "https://vault.azure.net.example.com/keys/k", PROTECTOR_LOCAL_VAULT,
		  "local-vault" },
		{ "https://notvault.azure.net/keys/k", PROTECTOR_LOCAL_VAULT, "local-vault" },
		{ FILE_, PROTECTOR_PLATFORM, "platform" },
		{ "file:/x/https://contoso.vault.azure.net/keys/tde", PROTECTOR_PLATFORM,
		  "platform" },
		{ "", PROTECTOR_PLATFORM, "platform" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (protector_kind_of(cases[i].kid) != cases[i].kind)
			fail_msg("%s is %s", cases[i].kid,
				 protector_kind_name(protector_kind_of(cases[i].kid)));
		assert_string_equal(protector_kind_name(cases[i].kind), cases[i].name);
	}
	assert_true(protector_is_customer_managed(LOCAL));
	assert_false(protector_is_customer_managed(FILE_));
}

static const enum policy_act acts[] = { POLICY_ROTATE, POLICY_REWRAP, POLICY_FORMAT, POLICY_IMPORT,
					POLICY_MOUNT };

static void a_key_of_a_key_vault_is_allowed_everything(void **state)
{
	static const enum policy_effect effects[] = { POLICY_AUDIT, POLICY_DENY, POLICY_DISABLED };

	(void)state;
	for (size_t e = 0; e < ARRAY_SIZE(effects); e++) {
		const struct policy p = { .customer_managed_key = effects[e] };

		for (size_t a = 0; a < ARRAY_SIZE(acts); a++) {
			assert_int_equal(policy_answer(&p, acts[a], PROTECTOR_CUSTOMER_MANAGED),
					 POLICY_ALLOWED);
			assert_int_equal(policy_answer(&p, acts[a], PROTECTOR_LOCAL_VAULT),
					 POLICY_ALLOWED);
		}
	}
}

static void a_platform_key_meets_each_row_of_the_table(void **state)
{
	static const struct {
		enum policy_effect effect;
		enum policy_act act;
		enum policy_answer answer;
	} rows[] = {
		{ POLICY_AUDIT, POLICY_FORMAT, POLICY_NOTED },
		{ POLICY_AUDIT, POLICY_IMPORT, POLICY_NOTED },
		{ POLICY_AUDIT, POLICY_ROTATE, POLICY_NOTED },
		{ POLICY_AUDIT, POLICY_REWRAP, POLICY_NOTED },
		{ POLICY_AUDIT, POLICY_MOUNT, POLICY_NOTED },
		{ POLICY_DENY, POLICY_FORMAT, POLICY_REFUSED },
		{ POLICY_DENY, POLICY_IMPORT, POLICY_REFUSED },
		{ POLICY_DENY, POLICY_ROTATE, POLICY_REFUSED },
		{ POLICY_DENY, POLICY_REWRAP, POLICY_REFUSED },
		{ POLICY_DENY, POLICY_MOUNT, POLICY_NOTED }, /* it never keeps a database down */
		{ POLICY_DISABLED, POLICY_FORMAT, POLICY_ALLOWED },
		{ POLICY_DISABLED, POLICY_IMPORT, POLICY_ALLOWED },
		{ POLICY_DISABLED, POLICY_ROTATE, POLICY_ALLOWED },
		{ POLICY_DISABLED, POLICY_REWRAP, POLICY_ALLOWED },
		{ POLICY_DISABLED, POLICY_MOUNT, POLICY_ALLOWED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct policy p = { .customer_managed_key = rows[i].effect };
		struct errmsg err = { 0 };
		int r = policy_check(&p, rows[i].act, FILE_, "volume sales", &err);

		assert_int_equal(policy_answer(&p, rows[i].act, PROTECTOR_PLATFORM),
				 rows[i].answer);
		assert_int_equal(r, rows[i].answer == POLICY_REFUSED ? -EPERM : 0);
		if (r == 0) {
			assert_null(err.policy);
			continue;
		}
		assert_int_equal(err.exit_code, EXIT_CODE_POLICY);
		assert_string_equal(err.policy, "customer_managed_key");
		assert_non_null(strstr(err.text, "volume sales"));
		assert_non_null(strstr(err.text, policy_act_name(rows[i].act)));
		assert_non_null(strstr(err.text, FILE_));
		assert_true(err.next[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_protector_is_what_its_kid_says),
		cmocka_unit_test(a_key_of_a_key_vault_is_allowed_everything),
		cmocka_unit_test(a_platform_key_meets_each_row_of_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
