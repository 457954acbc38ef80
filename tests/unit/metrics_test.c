/* SPDX-License-Identifier: Apache-2.0 */
/* The text of metrics: how it is escaped, counted and bounded; and what is counted of a vault. */
#include "../support/test.h"

#include <string.h>

#include "tdefs/cleanup.h"
#include "tdefs/exposition.h"
#include "tdefs/metrics_server.h"
#include "tdefs/vault_counts.h"

static struct exposition e;

static int begin(void **state)
{
	(void)state;
	e = (struct exposition){ 0 };
	return 0;
}

static void samples_follow_their_family(void **state)
{
	(void)state;
	exposition_family(&e, "tdefs_x", "gauge", "A \"help\" of\ntwo lines, a \\ in it.");
	exposition_count(&e, "", EXPOSITION_LABELS({ NULL, NULL }), 7);
	exposition_count(&e, "_more", EXPOSITION_LABELS({ "a", "1" }, { "b", "" }), UINT64_MAX);
	assert_string_equal(e.text, "# HELP tdefs_x A \"help\" of\\ntwo lines, a \\\\ in it.\n"
				    "# TYPE tdefs_x gauge\n"
				    "tdefs_x 7\n"
				    "tdefs_x_more{a=\"1\",b=\"\"} 18446744073709551615\n");
	assert_int_equal(e.len, strlen(e.text));
	assert_false(e.cut);
}

static void label_values_are_escaped(void **state)
{
	(void)state;
	e.family = "x";
	exposition_count(&e, "", EXPOSITION_LABELS({ "a", "q\"b\\n\nl\xc3\xa4" }), 0);
	assert_string_equal(e.text, "x{a=\"q\\\"b\\\\n\\nl\xc3\xa4\"} 0\n");
}

static void seconds_are_exact_and_short(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = { { 0, "x 0\n" },	  { 1, "x 0.001\n" },	  { 250, "x 0.25\n" },
		      { 1000, "x 1\n" },  { 10000, "x 10\n" },	  { 12345, "x 12.345\n" },
		      { 100, "x 0.1\n" }, { 90010, "x 90.01\n" }, { UINT64_MAX, "x +Inf\n" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(state);
		e.family = "x";
		exposition_seconds(&e, "", EXPOSITION_LABELS({ NULL, NULL }), cases[i].ms);
		assert_string_equal(e.text, cases[i].text);
	}
}

static void histograms_are_cumulative(void **state)
{
	static const uint64_t bounds[] = { 5, 1000 }, counts[] = { 1, 0, 2 };
	const struct exposition_label label = { "v", "a" };

	(void)state;
	exposition_family(&e, "h", "histogram", "H.");
	e.len = 0;
	exposition_histogram(&e, &label,
			     &(struct exposition_histogram){ bounds, counts, 2, 30001 });
	assert_string_equal(e.text, "h_bucket{v=\"a\",le=\"0.005\"} 1\n"
				    "h_bucket{v=\"a\",le=\"1\"} 1\n"
				    "h_bucket{v=\"a\",le=\"+Inf\"} 3\n"
				    "h_sum{v=\"a\"} 30.001\n"
				    "h_count{v=\"a\"} 3\n");
}

/* At the last byte that fits, and at the one after. */
static void what_does_not_fit_is_known(void **state)
{
	(void)state;
	e.family = "x";
	e.len = sizeof(e.text) - sizeof("x 1\n");
	exposition_count(&e, "", EXPOSITION_LABELS({ NULL, NULL }), 1);
	assert_false(e.cut);
	begin(state);
	e.family = "x";
	e.len = sizeof(e.text) - sizeof("x 1\n") + 1;
	exposition_count(&e, "", EXPOSITION_LABELS({ NULL, NULL }), 1);
	assert_true(e.cut);
}

static void calls_are_counted_by_operation_verdict_and_time(void **state)
{
	static struct vault_counts c;
	struct vault_report report = { .verdict = VAULT_DENIED };
	struct vault_call call = { .operation = "get", .elapsed_ms = 3, .report = &report };

	(void)state;
	vault_counts_add(&c, &call);
	assert_int_equal(c.calls[VAULT_OPERATION_GET][VAULT_DENIED], 1);
	assert_int_equal(c.unwrap_ms, 0);
	report.verdict = VAULT_GRANTED;
	call.operation = "unwrapKey";
	for (size_t i = 0; i < VAULT_LATENCIES; i++) {
		uint64_t bound = vault_latency_bounds_ms[i];

		call.elapsed_ms = bound;
		vault_counts_add(&c, &call);
		call.elapsed_ms = bound + 1;
		vault_counts_add(&c, &call);
		assert_int_equal(c.unwraps[i], i == 0 ? 1 : 2);
	}
	assert_int_equal(c.unwraps[VAULT_LATENCIES], 1);
	assert_int_equal(c.calls[VAULT_OPERATION_UNWRAP][VAULT_GRANTED], 2 * VAULT_LATENCIES);
	call.operation = "nonsense";
	vault_counts_add(&c, &call);
	for (int i = 0; i < VAULT_OPERATIONS; i++)
		assert_non_null(vault_operation_name((enum vault_operation)i));
}

static void requests_are_answered_by_their_first_line(void **state)
{
	static const struct {
		const char *request;
		int status;
		bool head;
	} cases[] = {
		{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, false },
		{ "GET /metrics HTTP/1.0\n\n", 200, false },
		{ "GET /metrics?a=b HTTP/1.1\r\n\r\n", 200, false },
		{ "HEAD /metrics HTTP/1.1\r\n\r\n", 200, true },
		{ "POST /metrics HTTP/1.1\r\n\r\n", 405, false },
		{ "get /metrics HTTP/1.1\r\n\r\n", 405, false },
		{ "GET / HTTP/1.1\r\n\r\n", 404, false },
		{ "GET /metricsx HTTP/1.1\r\n\r\n", 404, false },
		{ "GET /metric HTTP/1.1\r\n\r\n", 404, false },
		{ "HEAD /x HTTP/1.1\r\n\r\n", 404, true },
		{ "GET /metrics\r\n\r\n", 400, false },
		{ "GET  /metrics HTTP/1.1\r\n\r\n", 400, false },
		{ "GET /metrics HTTP/1.1 \r\n\r\n", 400, false },
		{ "GET /metrics HTTP/2.0\r\n\r\n", 400, false },
		{ "GET", 400, false },
		{ "\n", 400, false },
		{ "\r\n", 400, false },
		{ "GET \n", 400, false },
		{ " /metrics HTTP/1.1\n", 400, false },
		{ "", 400, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool head;

		(void)state;
		assert_int_equal(metrics_http_status(cases[i].request, strlen(cases[i].request),
						     &head),
				 cases[i].status);
		assert_int_equal(head, cases[i].head);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(samples_follow_their_family, begin),
		cmocka_unit_test_setup(label_values_are_escaped, begin),
		cmocka_unit_test_setup(seconds_are_exact_and_short, begin),
		cmocka_unit_test_setup(histograms_are_cumulative, begin),
		cmocka_unit_test_setup(what_does_not_fit_is_known, begin),
		cmocka_unit_test(requests_are_answered_by_their_first_line),
		cmocka_unit_test(calls_are_counted_by_operation_verdict_and_time),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
