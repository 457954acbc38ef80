/* SPDX-License-Identifier: Apache-2.0 */
/* An observed vault: it answers as the other does, and tells of each call once. */
#include "../support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/vault.h"

#define NAME	"https://v.vault.azure.net/keys/k"
#define VERSION NAME "/0123456789abcdef0123456789abcdef"
#define TIMEOUT 1234u
#define TOOK_MS 20

/* What the vault beneath is to answer, and what it was asked. */
static enum vault_verdict verdict;
static char asked[KID_MAX + 1];
static unsigned closed;

/* What was told. */
static unsigned told;
static char operation[16], kid[KID_MAX + 1], request_id[80];
static enum vault_verdict told_verdict;
static uint64_t elapsed_ms;

static enum vault_verdict answer(const char *what, unsigned timeout_ms, struct vault_report *rep)
{
	assert_int_equal(timeout_ms, TIMEOUT);
	(void)snprintf(asked, sizeof(asked), "%s", what);
	*rep = (struct vault_report){ .verdict = verdict };
	(void)snprintf(rep->request_id, sizeof(rep->request_id), "%.60s", what);
	clock_kernel.sleep_ms(TOOK_MS);
	return verdict;
}

static enum vault_verdict inner_get(struct vault *v, const char *k, unsigned timeout_ms,
				    struct vault_key *ret_key, struct vault_report *rep)
{
	(void)v;
	if (verdict == VAULT_GRANTED)
		*ret_key = (struct vault_key){ .kid = VERSION };
	return answer(k, timeout_ms, rep);
}

static enum vault_verdict inner_wrap(struct vault *v, const char *k, const struct secret *plain,
				     unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				     struct vault_report *rep)
{
	(void)v, (void)plain;
	if (verdict == VAULT_GRANTED)
		*ret_wrapped = (struct vault_wrapped){ .kid = VERSION };
	return answer(k, timeout_ms, rep);
}

static enum vault_verdict inner_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				       unsigned timeout_ms, struct secret **ret_plain,
				       struct vault_report *rep)
{
	(void)v, (void)ret_plain;
	return answer(wrapped->kid, timeout_ms, rep);
}

static enum vault_verdict inner_versions(struct vault *v, const char *k, unsigned timeout_ms,
					 struct vault_versions *ret_versions,
					 struct vault_report *rep)
{
	(void)v;
	if (verdict == VAULT_GRANTED)
		ret_versions->count = 0;
	return answer(k, timeout_ms, rep);
}

static void inner_close(struct vault *v)
{
	(void)v;
	closed++;
}

static struct vault_ops inner_ops = {
	.name = "inner",
	.kid_prefix = "https:",
	.close = inner_close,
	.get = inner_get,
	.wrap = inner_wrap,
	.unwrap = inner_unwrap,
	.versions = inner_versions,
};

static void observe(void *arg, const struct vault_call *call)
{
	assert_ptr_equal(arg, &told);
	told++;
	(void)snprintf(operation, sizeof(operation), "%s", call->operation);
	(void)snprintf(kid, sizeof(kid), "%s", call->kid);
	(void)snprintf(request_id, sizeof(request_id), "%s", call->report->request_id);
	told_verdict = call->report->verdict;
	elapsed_ms = call->elapsed_ms;
}

static struct vault *observed(void)
{
	static struct vault inner = { &inner_ops };
	struct vault *v;

	assert_int_equal(vault_observe(&inner, observe, &told, &v), 0);
	return v;
}

enum call { GET, WRAP, UNWRAP, VERSIONS, CALLS };

static enum vault_verdict call(struct vault *v, enum call which, struct vault_report *rep)
{
	static const struct vault_wrapped wrapped = { .kid = VERSION };
	struct vault_wrapped new_wrapped;
	struct vault_versions *versions = calloc(1, sizeof(*versions));
	struct secret *plain = NULL;
	struct vault_key key;
	enum vault_verdict r;

	assert_non_null(versions);
	r = which == GET      ? v->ops->get(v, NAME, TIMEOUT, &key, rep)
	    : which == WRAP   ? v->ops->wrap(v, NAME, NULL, TIMEOUT, &new_wrapped, rep)
	    : which == UNWRAP ? v->ops->unwrap(v, &wrapped, TIMEOUT, &plain, rep)
			      : v->ops->versions(v, NAME, TIMEOUT, versions, rep);
	free(versions);
	return r;
}

static void each_call_is_passed_on_and_told_once(void **state)
{
	static const struct {
		const char *operation, *asked, *granted;
	} calls[CALLS] = {
		[GET] = { "get", NAME, VERSION },
		[WRAP] = { "wrapKey", NAME, VERSION },
		[UNWRAP] = { "unwrapKey", VERSION, VERSION },
		[VERSIONS] = { "versions", NAME, NAME },
	};
	static const enum vault_verdict verdicts[] = { VAULT_GRANTED, VAULT_DENIED };
	struct vault *v = observed();

	(void)state;
	assert_string_equal(v->ops->name, "inner");
	assert_string_equal(v->ops->kid_prefix, "https:");
	for (unsigned i = 0; i < CALLS * 2; i++) {
		const unsigned which = i / 2;
		struct vault_report rep;

		told = 0;
		verdict = verdicts[i % 2];
		assert_int_equal(call(v, (enum call)which, &rep), verdict);
		assert_int_equal(rep.verdict, verdict);
		assert_string_equal(asked, calls[which].asked);
		assert_int_equal(told, 1);
		assert_int_equal(told_verdict, verdict);
		assert_string_equal(operation, calls[which].operation);
		assert_string_equal(kid, verdict == VAULT_GRANTED ? calls[which].granted
								  : calls[which].asked);
		assert_string_equal(request_id, rep.request_id);
		assert_in_range(elapsed_ms, TOOK_MS - 1, 600000);
	}
	closed = 0;
	vault_close(v);
	assert_int_equal(closed, 1);
}

static void a_vault_without_versions_stays_one(void **state)
{
	struct vault *v;

	(void)state;
	inner_ops.versions = NULL;
	v = observed();
	assert_null(v->ops->versions);
	vault_close(v);
}

static void tls_keys_are_not_written_down(void **state)
{
	(void)state;
	assert_int_equal(setenv("SSLKEYLOGFILE", "/nowhere", 1), 0);
	assert_int_equal(vault_init(), 0);
	assert_null(getenv("SSLKEYLOGFILE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_is_passed_on_and_told_once),
		cmocka_unit_test(a_vault_without_versions_stays_one),
		cmocka_unit_test(tls_keys_are_not_written_down),
	};

	return cmocka_run_group_tests_name("observed vaults", tests, NULL, NULL);
}
