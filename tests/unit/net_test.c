/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of outside text before anything is believed: base64url, key identifiers, JSON. */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/base64url.h"
#include "tdefs/json_scan.h"
#include "tdefs/kid.h"

/* base64url. */

static void base64url_known_answers(void **state)
{
	/* RFC 4648, section 10, without padding; and the two characters that differ from base64. */
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{ "", "" },
		{ "f", "Zg" },
		{ "fo", "Zm8" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg" },
		{ "fooba", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xef\xbe", "_---" },
	};
	char text[32];
	uint8_t bytes[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].bytes);

		assert_string_equal(base64url_encode(cases[i].bytes, len, text), cases[i].text);
		assert_int_equal(strlen(text) + 1, BASE64URL_LEN(len));
		assert_int_equal(base64url_decode(text, strlen(text), bytes, len), len);
		assert_memory_equal(bytes, cases[i].bytes, len);
	}
}

static void base64url_round_trips_and_keeps_to_its_room(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 70; len++) {
		uint8_t data[70], back[71];
		char text[BASE64URL_LEN(70) + 1];

		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)(i * 151 + len * 7);
		memset(text, '!', sizeof(text));
		base64url_encode(data, len, text);
		assert_int_equal(strlen(text), BASE64URL_LEN(len) - 1);
		assert_int_equal(text[BASE64URL_LEN(len)], '!');
		memset(back, 0xee, sizeof(back));
		assert_int_equal(base64url_decode(text, strlen(text), back, len + 1), len);
		assert_int_equal(base64url_decode(text, strlen(text), back, len), len);
		assert_memory_equal(back, data, len);
		assert_int_equal(back[len], 0xee);
		if (len > 0) {
			memset(back, 0xee, sizeof(back));
			assert_int_equal(base64url_decode(text, strlen(text), back, len - 1),
					 -ENOSPC);
			assert_int_equal(back[len - 1], 0xee);
		}
	}
}

static void base64url_refuses_every_other_character(void **state)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789-_";
	uint8_t out[8];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		char text[4] = { 'A', 'A', (char)c, 'A' };
		ssize_t n = base64url_decode(text, 4, out, sizeof(out));

		assert_int_equal(n, c && strchr(good, (int)c) ? 3 : -EBADMSG);
	}
}

static void base64url_refuses_padding_and_bits_left_over(void **state)
{
	static const char *const bad[] = { "A",	     "Zg==", "Zm8=",  "Zh", "Zm9", "Zm9vY",
					   "Zm9vYh", "Zm 9", "Zm9\n", "=",  "+/+/" };
	uint8_t out[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(base64url_decode(bad[i], strlen(bad[i]), out, sizeof(out)),
				 -EBADMSG);
}

/* Key identifiers. */

#define VERSION "0123456789abcdef0123456789ABCDEF"
#define LOWER	"0123456789abcdef0123456789abcdef"

static void kids_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned port;
		const char *name, *version, *vault;
	} cases[] = {
		{ "https://v.vault.azure.net/keys/k", "v.vault.azure.net", 443, "k", "",
		  "https://v.vault.azure.net" },
		{ "https://V.Vault.Azure.NET/keys/Key-1/" VERSION, "v.vault.azure.net", 443,
		  "Key-1", LOWER, "https://v.vault.azure.net" },
		{ "HTTPS://v/keys/k/", "v", 443, "k", "", "https://v" },
		{ "https://v/keys/k/" VERSION "/", "v", 443, "k", LOWER, "https://v" },
		{ "https://v:443/keys/k", "v", 443, "k", "", "https://v" },
		{ "https://127.0.0.1:8443/keys/k", "127.0.0.1", 8443, "k", "",
		  "https://127.0.0.1:8443" },
		{ "https://v:65535/keys/k", "v", 65535, "k", "", "https://v:65535" },
		{ "https://v:1/keys/k", "v", 1, "k", "", "https://v:1" },
	};
	char vault[KID_VAULT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kid k;

		assert_int_equal(kid_parse(cases[i].text, &k), 0);
		assert_string_equal(k.host, cases[i].host);
		assert_int_equal(k.port, cases[i].port);
		assert_string_equal(k.name, cases[i].name);
		assert_string_equal(k.version, cases[i].version);
		assert_string_equal(kid_vault(&k, vault), cases[i].vault);
	}
}

static void other_texts_are_no_kids(void **state)
{
	static const char *const bad[] = {
		"",
		"https://",
		"http://v/keys/k",
		"file:/k",
		"https:///keys/k",
		"https://v",
		"https://v/keys",
		"https://v/keys/",
		"https://v/keys//",
		"https://v/keys//" VERSION,
		"https://v/Keys/k",
		"https://v/secrets/k",
		"https://v/deletedkeys/k",
		"https://v//keys/k",
		"https://v/keys/a_b",
		"https://v/keys/a.b",
		"https://v/keys/k%20",
		"https://v/keys/k?api-version=7.4",
		"https://v/keys/k#" VERSION,
		"https://v/keys/k/versions",
		"https://v/keys/k/0123",
		"https://v/keys/k/" VERSION "0",
		"https://v/keys/k/0123456789abcdef0123456789ABCDEG",
		"https://v/keys/k/" VERSION "//",
		"https://v/keys/k//",
		"https://v/keys/k/" VERSION "/wrapkey",
		"https://user@v/keys/k",
		"https://user:pw@v/keys/k",
		"https://v:/keys/k",
		"https://v.example./keys/k", /* for DNS the same host, for us another */
		"https://v.example.:443/keys/k",
		"https://v:0/keys/k",
		"https://v:65536/keys/k",
		"https://v:443443/keys/k",
		"https://v:44x/keys/k",
		"https://v:-1/keys/k",
		"https://[::1]/keys/k",
		"https://v w/keys/k",
		"https://v\r\nx/keys/k",
		" https://v/keys/k",
		"https://v/keys/k ",
		"https://v/keys/k\n",
		"https://v\\evil/keys/k",
		"https://caf\xc3\xa9/keys/k",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct kid k = { .port = 77 };

		if (kid_parse(bad[i], &k) != -EINVAL)
			fail_msg("taken for a kid: %s", bad[i]);
		assert_int_equal(k.port, 77); /* untouched */
	}
}

static int parse_sized(size_t host, size_t name)
{
	char text[1200] = "https://";
	struct kid k;

	memset(text + strlen(text), 'h', host);
	strcat(text, "/keys/");
	memset(text + strlen(text), 'n', name);
	return kid_parse(text, &k);
}

static void kids_have_limits(void **state)
{
	(void)state;
	assert_int_equal(parse_sized(KID_HOST_MAX - 1, 1), 0);
	assert_int_equal(parse_sized(KID_HOST_MAX, 1), 0);
	assert_int_equal(parse_sized(KID_HOST_MAX + 1, 1), -EINVAL);
	assert_int_equal(parse_sized(1, KID_NAME_MAX), 0);
	assert_int_equal(parse_sized(1, KID_NAME_MAX + 1), -EINVAL);
	assert_int_equal(parse_sized(1, KID_MAX + 1), -EINVAL);
}

static void kids_are_equal_without_regard_to_case(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "https://V/keys/Key/" VERSION, "https://v:443/keys/kEY/" LOWER "/", true },
		{ "https://v/keys/k", "https://v/keys/k/", true },
		{ "https://v/keys/k", "https://v/keys/k/" LOWER, false },
		{ "https://v/keys/k", "https://w/keys/k", false },
		{ "https://v/keys/k", "https://v/keys/kk", false },
		{ "https://v:444/keys/k", "https://v/keys/k", false },
		{ "https://v/keys/k/" LOWER, "https://v/keys/k/1123456789abcdef0123456789abcdef",
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kid a, b;

		assert_int_equal(kid_parse(cases[i].a, &a), 0);
		assert_int_equal(kid_parse(cases[i].b, &b), 0);
		assert_int_equal(kid_equal(&a, &b), cases[i].equal);
		assert_int_equal(kid_equal(&b, &a), cases[i].equal);
	}
}

/* JSON. */

static int scan(const char *text, struct json_span *span)
{
	return json_scan_member(text, strlen(text), "a", span);
}

static void json_members_are_found(void **state)
{
	static const struct {
		const char *text;
		enum json_span_kind kind;
		const char *value;
	} cases[] = {
		{ "{\"a\":\"\"}", JSON_SPAN_STRING, "" },
		{ "{\"a\":\"x y\"}", JSON_SPAN_STRING, "x y" },
		{ " \t\r\n{ \"a\" : \"x\" } \n", JSON_SPAN_STRING, "x" },
		{ "{\"b\":{\"a\":1},\"a\":2}", JSON_SPAN_NUMBER, "2" },
		{ "{\"b\":[{\"a\":1}],\"a\":2,\"c\":\"a\"}", JSON_SPAN_NUMBER, "2" },
		{ "{\"A\":1,\"aa\":1,\"\":1,\"a\":-0.5e+10}", JSON_SPAN_NUMBER, "-0.5e+10" },
		{ "{\"a\":0}", JSON_SPAN_NUMBER, "0" },
		{ "{\"a\":1E5}", JSON_SPAN_NUMBER, "1E5" },
		{ "{\"a\":true}", JSON_SPAN_OTHER, "true" },
		{ "{\"a\":false}", JSON_SPAN_OTHER, "false" },
		{ "{\"a\":null}", JSON_SPAN_OTHER, "null" },
		{ "{\"a\":{}}", JSON_SPAN_OTHER, "{}" },
		{ "{\"a\":[ 1 , \"]\" ]}", JSON_SPAN_OTHER, "[ 1 , \"]\" ]" },
		{ "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"}", JSON_SPAN_STRING,
		  "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9" },
		{ "{\"a\":\"caf\xc3\xa9\"}", JSON_SPAN_STRING, "caf\xc3\xa9" },
		{ "{\"a\":1,\"b\":2,\"b\":3}", JSON_SPAN_NUMBER, "1" }, /* another one twice */
		{ "{\"\\u0061\":1,\"a\":2}", JSON_SPAN_NUMBER, "2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json_span span;

		if (scan(cases[i].text, &span) != 0)
			fail_msg("refused: %s", cases[i].text);
		assert_int_equal(span.kind, cases[i].kind);
		assert_int_equal(span.len, strlen(cases[i].value));
		assert_memory_equal(span.start, cases[i].value, span.len);
	}
}

static void json_without_the_member(void **state)
{
	static const char *const texts[] = {
		"{}",	      "{ }",	  "{\"b\":1}", "{\"b\":{\"a\":1}}", "{\"\\u0061\":1}",
		"{\"a \":1}", "{\"A\":1}"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct json_span span = { .len = 77 };

		assert_int_equal(scan(texts[i], &span), -ENOENT);
		assert_int_equal(span.len, 77);
	}
}

static void other_texts_are_no_json_objects(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"1",
		"\"a\"",
		"null",
		"true",
		"[]",
		"[{\"a\":1}]",
		"OK",
		"<html>",
		"{\"a\":1",
		"{\"a\":1}}",
		"{\"a\":1} x",
		"{\"a\":1}{}",
		"{\"a\":1,}",
		"{,\"a\":1}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\" 1}",
		"{a:1}",
		"{'a':1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":01}",
		"{\"a\":+1}",
		"{\"a\":-}",
		"{\"a\":.5}",
		"{\"a\":1.}",
		"{\"a\":1e}",
		"{\"a\":1e+}",
		"{\"a\":0x1}",
		"{\"a\":NaN}",
		"{\"a\":Infinity}",
		"{\"a\":-Infinity}",
		"{\"a\":tru}",
		"{\"a\":True}",
		"{\"a\":nulll}",
		"{\"a\":[1,]}",
		"{\"a\":[,1]}",
		"{\"a\":[1}",
		"{\"a\":[1]]}",
		"{\"a\":{]}",
		"{\"a\":\"x}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u00g0\"}",
		"{\"a\":\"\\u00\"}",
		"{\"a\":\"\t\"}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"\x01\"}",
		"{\"a\":\"\\\"}",
		"{\"a\":1/**/}",
		"/**/{\"a\":1}",
		"\xef\xbb\xbf{\"a\":1}",
		"{\"a\":1,\"a\":1}",
		"{\"a\":1,\"b\":2,\"a\":\"x\"}",
		"{\"a\":\v1}",
		"{1:1}",
		"{null:1}",
		"{\"a\"::1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json_span span = { .len = 77 };

		if (scan(bad[i], &span) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(span.len, 77);
	}
}

static void json_nuls_are_never_blanks_or_ends(void **state)
{
	static const char good[] = "{\"b\":[1,\"x\"],\"a\":\"\\u0041y\"}";

	(void)state;
	for (size_t at = 0; at <= strlen(good); at++) {
		char text[64];
		struct json_span span;
		size_t len = strlen(good);

		memcpy(text, good, at);
		text[at] = '\0';
		memcpy(text + at + 1, good + at, len - at);
		assert_int_equal(json_scan_member(text, len + 1, "a", &span), -EBADMSG);
		if (at == len)
			continue;
		memcpy(text, good, len);
		text[at] = '\0';
		assert_int_equal(json_scan_member(text, len, "a", &span), -EBADMSG);
	}
}

/* Each text is the end of a heap block, so that a byte read beyond it shows under ASan. */
static void json_cut_anywhere_is_refused(void **state)
{
	static const char good[] = "{\"kid\":\"https://v/keys/k\",\"n\":[1.5e-7,true,null,{}],"
				   "\"a\":\"AB\\u00e9-_\"}";

	(void)state;
	for (size_t len = 0; len < strlen(good); len++) {
		char *text = malloc(len + (len == 0));
		struct json_span span;

		assert_non_null(text);
		memcpy(text, good, len);
		assert_int_equal(json_scan_member(text, len, "a", &span), -EBADMSG);
		free(text);
	}
}

static int scan_nested(unsigned depth, char open, char close)
{
	char text[256] = "{\"b\":";
	struct json_span span;

	for (unsigned i = 0; i < depth; i++)
		strcat(text, open == '[' ? "[" : i + 1 < depth ? "{\"c\":" : "{");
	for (unsigned i = 0; i < depth; i++)
		strcat(text, close == ']' ? "]" : "}");
	strcat(text, ",\"a\":1}");
	return scan(text, &span);
}

static void json_depth_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(scan_nested(31, '[', ']'), 0);
	assert_int_equal(scan_nested(32, '[', ']'), 0);
	assert_int_equal(scan_nested(33, '[', ']'), -EBADMSG);
	assert_int_equal(scan_nested(32, '{', '}'), 0);
	assert_int_equal(scan_nested(33, '{', '}'), -EBADMSG);
}

static void json_depth_is_not_a_count(void **state)
{
	char text[1024] = "{\"b\":[";
	struct json_span span;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		strcat(text, "[[]],");
	strcat(text, "[]],\"a\":1}");
	assert_int_equal(scan(text, &span), 0);
}

static void json_strings_become_secrets(void **state)
{
	static const struct {
		const char *value;
		int plain, base64url;
		const char *bytes;
	} cases[] = {
		{ "\"\"", 0, 0, "" },
		{ "\"Zm9v\"", 0, 0, "foo" },
		{ "\"Zm8\"", 0, 0, "fo" },
		{ "\"Zg\"", 0, 0, "f" },
		{ "\"Zg==\"", 0, -EBADMSG, NULL },
		{ "\"Z\"", 0, -EBADMSG, NULL },
		{ "\"Zh\"", 0, -EBADMSG, NULL },
		{ "\"Zm+v\"", 0, -EBADMSG, NULL },
		{ "\"Zm\\u0039v\"", -EBADMSG, -EBADMSG, NULL },
		{ "\"Zm\\/v\"", -EBADMSG, -EBADMSG, NULL },
		{ "1234", -EBADMSG, -EBADMSG, NULL },
		{ "null", -EBADMSG, -EBADMSG, NULL },
		{ "[\"Zm9v\"]", -EBADMSG, -EBADMSG, NULL },
		{ "{}", -EBADMSG, -EBADMSG, NULL },
	};
	size_t before = secret_count();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct secret *s = NULL, *b = NULL;
		struct json_span span;
		char text[64];

		(void)snprintf(text, sizeof(text), "{\"a\":%s}", cases[i].value);
		assert_int_equal(scan(text, &span), 0);
		assert_int_equal(json_scan_secret(&span, &s), cases[i].plain);
		assert_int_equal(json_scan_secret_base64url(&span, &b), cases[i].base64url);
		assert_int_equal(s == NULL, cases[i].plain < 0);
		assert_int_equal(b == NULL, cases[i].base64url < 0);
		if (s)
			assert_memory_equal(secret_view(s), span.start, secret_len(s));
		if (b) {
			assert_int_equal(secret_len(b), strlen(cases[i].bytes));
			assert_memory_equal(secret_view(b), cases[i].bytes, secret_len(b));
		}
		secret_free(s);
		secret_free(b);
	}
	assert_int_equal(secret_count(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64url_known_answers),
		cmocka_unit_test(base64url_round_trips_and_keeps_to_its_room),
		cmocka_unit_test(base64url_refuses_every_other_character),
		cmocka_unit_test(base64url_refuses_padding_and_bits_left_over),
		cmocka_unit_test(kids_are_taken_apart),
		cmocka_unit_test(other_texts_are_no_kids),
		cmocka_unit_test(kids_have_limits),
		cmocka_unit_test(kids_are_equal_without_regard_to_case),
		cmocka_unit_test(json_members_are_found),
		cmocka_unit_test(json_without_the_member),
		cmocka_unit_test(other_texts_are_no_json_objects),
		cmocka_unit_test(json_nuls_are_never_blanks_or_ends),
		cmocka_unit_test(json_cut_anywhere_is_refused),
		cmocka_unit_test(json_depth_is_bounded),
		cmocka_unit_test(json_depth_is_not_a_count),
		cmocka_unit_test(json_strings_become_secrets),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
