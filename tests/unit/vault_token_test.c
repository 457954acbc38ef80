/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens out of answers, and the text of requests. */
#include "../support/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/vault/form.h"
#include "../../src/vault/token.h"
#include "../support/answers.h"

/* Tokens. */

#define BOOT ((uint64_t)1000000)
#define NOW  ((uint64_t)1700000000)
#define HOUR ((uint64_t)3600000)

static void tokens_have_a_life(void **state)
{
	static const struct {
		const char *members;
		uint64_t life_ms, refresh_ms; /* 0: no token */
	} cases[] = {
		{ "\"expires_in\":3599", 3599000, 3299000 },
		{ "\"expires_in\":\"3599\"", 3599000, 3299000 },
		{ "\"expires_in\":86399", 86399000, 43199500 },
		{ "\"expires_in\":7200", 7200000, 3600000 },
		{ "\"expires_in\":7199", 7199000, 6899000 },
		{ "\"expires_in\":600", 600000, 300000 },
		{ "\"expires_in\":8", 8000, 4000 },
		{ "\"expires_in\":3600,\"refresh_in\":100", 3600000, 100000 },
		{ "\"expires_in\":3600,\"refresh_in\":\"100\"", 3600000, 100000 },
		{ "\"expires_in\":3600,\"refresh_in\":3600", 3600000, 3300000 },
		{ "\"expires_in\":3600,\"refresh_in\":0", 3600000, 3300000 },
		{ "\"expires_in\":3600,\"refresh_in\":-5", 3600000, 3300000 },
		{ "\"expires_in\":3600,\"refresh_in\":18446744073709551615", 3600000, 3300000 },
		{ "\"expires_on\":\"1700003600\"", 3600000, 3300000 },
		{ "\"expires_on\":1700003600", 3600000, 3300000 },
		{ "\"expires_in\":0,\"expires_on\":1700003600", 3600000, 3300000 },
		/* A week at most, whatever it says. */
		{ "\"expires_in\":99999999", 168 * HOUR, 84 * HOUR },
		{ "\"expires_in\":18446744073709551615", 168 * HOUR, 84 * HOUR },
		{ "\"expires_in\":99999999999999999999999", 168 * HOUR, 84 * HOUR },
		{ "\"expires_on\":18446744073709551615", 168 * HOUR, 84 * HOUR },
		{ "\"expires_in\":0", 0, 0 },
		{ "\"expires_in\":-1", 0, 0 },
		{ "\"expires_in\":1.5", 0, 0 },
		{ "\"expires_in\":\"\"", 0, 0 },
		{ "\"expires_in\":\" 5\"", 0, 0 },
		{ "\"expires_in\":\"5s\"", 0, 0 },
		{ "\"expires_in\":null", 0, 0 },
		{ "\"expires_in\":[5]", 0, 0 },
		{ "\"expires_on\":1700000000", 0, 0 },
		{ "\"expires_on\":\"09/14/2023 00:00:00 PM +00:00\"", 0, 0 },
		{ "\"x\":1", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_answer a;
		struct token t = { 0 };
		char body[256];
		const char *wrong;

		(void)snprintf(body, sizeof(body), "{\"access_token\":\"eyJ0\",%s}",
			       cases[i].members);
		a = answer_of(200, body);
		wrong = token_parse(&a, BOOT, NOW, &t);
		if ((wrong == NULL) != (cases[i].life_ms > 0) ||
		    (!wrong && (t.expires_ms - BOOT != cases[i].life_ms ||
				t.refresh_ms - BOOT != cases[i].refresh_ms)))
			fail_msg("%s: %s, %" PRIu64 ", %" PRIu64, cases[i].members,
				 wrong ? wrong : "good", t.expires_ms - BOOT, t.refresh_ms - BOOT);
		if (!wrong) {
			assert_int_equal(secret_len(t.text), 4);
			assert_memory_equal(secret_view(t.text), "eyJ0", 4);
		}
		token_release(&t);
		net_answer_release(&a);
	}
}

static void other_answers_hold_no_token(void **state)
{
	static const char *const bad[] = {
		"",
		"OK",
		"{}",
		"{\"expires_in\":5}",
		"{\"access_token\":\"\",\"expires_in\":5}",
		"{\"access_token\":7,\"expires_in\":5}",
		"{\"access_token\":null,\"expires_in\":5}",
		"{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":5}",
		"{\"access_token\":\"a\",\"access_token\":\"b\",\"expires_in\":5}",
		"{\"access_token\":\"a\",\"expires_in\":5",
		"{\"x\":{\"access_token\":\"a\"},\"expires_in\":5}",
	};
	size_t before = secret_count();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct net_answer a = answer_of(200, bad[i]);
		struct token t = { .expires_ms = 77 };

		if (!token_parse(&a, BOOT, NOW, &t))
			fail_msg("a token in: %s", bad[i]);
		assert_int_equal(t.expires_ms, 77);
		net_answer_release(&a);
	}
	assert_int_equal(secret_count(), before);
}

static void tokens_are_used_until_shortly_before_their_end(void **state)
{
	struct token t = { .expires_ms = 100000, .refresh_ms = 50000 }, none = { 0 };

	(void)state;
	t.text = secret_new(1);
	assert_true(token_is_usable(&t, 94999));
	assert_false(token_is_usable(&t, 95000));
	assert_false(token_is_due(&t, 49999));
	assert_true(token_is_due(&t, 50000));
	assert_false(token_is_usable(&none, 0));
	assert_true(token_is_due(&none, 0));
	token_release(&t);
	assert_null(t.text);
}

/* Text of requests. */

static void forms_are_escaped_and_bounded(void **state)
{
	struct form f = form_new(64);
	struct secret *s;

	(void)state;
	form_field(&f, "a", "x y&=+%\r\n~-._", 13);
	form_field(&f, "b", "\xc3\xa9\0", 3);
	s = form_take(&f);
	assert_non_null(s);
	assert_int_equal(secret_len(s), strlen("a=x%20y%26%3D%2B%25%0D%0A~-._&b=%C3%A9%00"));
	assert_memory_equal(secret_view(s), "a=x%20y%26%3D%2B%25%0D%0A~-._&b=%C3%A9%00",
			    secret_len(s));
	secret_free(s);
	form_release(&f);
}

static void forms_that_do_not_fit_are_bad(void **state)
{
	(void)state;
	for (size_t room = 9; room <= 12; room++) {
		struct form text = form_new(room), base64 = form_new(room), late = form_new(room);
		struct secret *s;

		form_text(&text, "0123456789");
		s = form_take(&text);
		assert_int_equal(s != NULL, room >= 10);
		secret_free(s);
		form_base64url(&base64, "1234567", 7); /* 10 characters, and room for a NUL */
		s = form_take(&base64);
		assert_int_equal(s != NULL, room >= 11);
		secret_free(s);
		form_text(&late, "0123456789ABCDEF");
		form_text(&late, "x"); /* once bad, always bad */
		assert_null(form_take(&late));
		assert_int_equal(late.len, 0);
		form_release(&text);
		form_release(&base64);
		form_release(&late);
		assert_null(form_take(&late));
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
		cmocka_unit_test(tokens_have_a_life),
		cmocka_unit_test(other_answers_hold_no_token),
		cmocka_unit_test(tokens_are_used_until_shortly_before_their_end),
		cmocka_unit_test(forms_are_escaped_and_bounded),
		cmocka_unit_test(forms_that_do_not_fit_are_bad),
	};

	return cmocka_run_group_tests_name("vault_token", tests, NULL, no_secret_is_left);
}
