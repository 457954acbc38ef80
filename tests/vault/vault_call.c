/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of a vault as a mount makes them, for tests: one line of JSON each.
 *
 *	vault_call CONFIG VOLUME OPERATION[,OPERATION...] [TIMEOUT_MS]
 *
 * get, wrap, unwrap (a round trip of 32 known bytes), versions; pause waits for
 * a line of input between two. What a call waits between two attempts is not
 * waited for: its clock is put forward, and the sum told.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tdefs/bytes.h"
#include "tdefs/crypto.h"
#include "tdefs/vault.h"

#define PLAIN_LEN 32

static struct vault *vault;
static const char *kid;
static unsigned timeout_ms = VAULT_COMMAND_TIMEOUT_MS;

/* No lock: there is one thread. */
static uint64_t waited_ms;

static uint64_t boot_ms(void)
{
	return clock_kernel.boot_ms() + waited_ms;
}

static uint64_t now(void)
{
	return clock_kernel.now();
}

static void sleep_ms(uint64_t wait)
{
	waited_ms += wait;
}

static const struct clock patient_clock = { boot_ms, now, sleep_ms };

static struct secret *plain_text(void)
{
	struct secret *s = secret_new(PLAIN_LEN);

	for (size_t i = 0; s && i < PLAIN_LEN; i++)
		secret_bytes(s)[i] = (uint8_t)(i + 1);
	return s;
}

static json_t *call_get(struct vault_report *rep)
{
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)];
	struct vault_key k;

	if (vault->ops->get(vault, kid, timeout_ms, &k, rep) != VAULT_GRANTED)
		return json_object();
	return json_pack("{s:s, s:s, s:i, s:b, s:b, s:b, s:b, s:I, s:I, s:s, s:b}", "kid", k.kid,
			 "thumbprint", hex_encode(k.thumbprint, THUMBPRINT_LEN, thumbprint), "bits",
			 (int)k.bits, "hsm", k.hsm, "enabled", k.enabled, "may_wrap", k.may_wrap,
			 "may_unwrap", k.may_unwrap, "not_before", (json_int_t)k.not_before,
			 "expires", (json_int_t)k.expires, "recovery_level", k.recovery_level,
			 "purge_protection", k.purge_protection);
}

static json_t *call_wrap(struct vault_wrapped *w, struct vault_report *rep)
{
	CLEANUP_SECRET struct secret *plain = plain_text();

	if (!plain || vault->ops->wrap(vault, kid, plain, timeout_ms, w, rep) != VAULT_GRANTED)
		return json_object();
	return json_pack("{s:s, s:i}", "kid", w->kid, "wrapped_len", (int)w->len);
}

static json_t *call_unwrap(struct vault_report *rep)
{
	CLEANUP_SECRET struct secret *plain = plain_text();
	CLEANUP_SECRET struct secret *back = NULL;
	struct vault_wrapped w;
	json_t *wrapped = call_wrap(&w, rep);

	if (rep->verdict != VAULT_GRANTED)
		return wrapped;
	json_decref(wrapped);
	if (vault->ops->unwrap(vault, &w, timeout_ms, &back, rep) != VAULT_GRANTED)
		return json_object();
	return json_pack(
		"{s:s, s:i, s:b}", "kid", w.kid, "plain_len", (int)secret_len(back), "round_trip",
		secret_len(back) == PLAIN_LEN &&
			constant_time_equal(secret_view(back), secret_view(plain), PLAIN_LEN));
}

static json_t *call_versions(struct vault_report *rep)
{
	static struct vault_versions list;
	json_t *array = json_array();

	if (vault->ops->versions(vault, kid, timeout_ms, &list, rep) != VAULT_GRANTED)
		return json_pack("{s:o}", "versions", array);
	for (size_t i = 0; i < list.count; i++)
		json_array_append_new(array,
				      json_pack("{s:s, s:b, s:I}", "kid", list.versions[i].kid,
						"enabled", list.versions[i].enabled, "created",
						(json_int_t)list.versions[i].created));
	return json_pack("{s:o}", "versions", array);
}

static json_t *report_json(const char *operation, const struct vault_report *rep)
{
	bool granted = rep->verdict == VAULT_GRANTED;

	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:I, s:s, s:s}", "operation",
			 operation, "verdict", vault_verdict_name(rep->verdict), "http_status",
			 rep->http_status, "code", rep->code, "inner_code", rep->inner_code,
			 "request_id", rep->request_id, "credential_alarm", rep->credential_alarm,
			 "retry_after_ms", (json_int_t)rep->retry_after_ms, "error",
			 granted ? "" : rep->error.text, "next", granted ? "" : rep->error.next);
}

static void print(json_t *line, json_t *facts, uint64_t elapsed_ms)
{
	char *text;

	json_object_update(line, facts);
	json_object_set_new(line, "elapsed_ms", json_integer((json_int_t)elapsed_ms));
	json_object_set_new(line, "waited_ms", json_integer((json_int_t)waited_ms));
	text = json_dumps(line, JSON_COMPACT);
	printf("%s\n", text ? text : "{\"error\":\"no JSON\"}");
	fflush(stdout);
	free(text);
	json_decref(line);
	json_decref(facts);
}

static int pause_for_input(void)
{
	char line[16];

	printf("{\"operation\":\"pause\"}\n");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : -1;
}

static int call(const char *operation)
{
	struct vault_report rep = { 0 };
	struct vault_wrapped w;
	json_t *facts;
	uint64_t start = clock_kernel.boot_ms();

	waited_ms = 0;
	if (strcmp(operation, "pause") == 0)
		return pause_for_input();
	if (strcmp(operation, "get") == 0)
		facts = call_get(&rep);
	else if (strcmp(operation, "wrap") == 0)
		facts = call_wrap(&w, &rep);
	else if (strcmp(operation, "unwrap") == 0)
		facts = call_unwrap(&rep);
	else if (strcmp(operation, "versions") == 0)
		facts = call_versions(&rep);
	else
		return -1;
	print(report_json(operation, &rep), facts, clock_kernel.boot_ms() - start);
	return 0;
}

static int setup(const char *path, const char *volume, struct config **ret_config,
		 struct errmsg *err)
{
	const struct volume_config *vc;
	int r = crypto_init();

	if (r == 0)
		r = vault_init();
	if (r == 0)
		r = config_load(path, ret_config, err);
	if (r == 0)
		r = config_volume(*ret_config, volume, &vc, err);
	if (r < 0)
		return r;
	kid = vc->settings.protector;
	return vault_open(kid, &vc->settings, &patient_clock, &vault, err);
}

int main(int argc, char **argv)
{
	CLEANUP_CONFIG struct config *config = NULL;
	struct errmsg err = { 0 };
	char *rest = argc > 3 ? argv[3] : NULL;
	int r = 0;

	if (argc < 4 || argc > 5) {
		fprintf(stderr, "usage: vault_call CONFIG VOLUME OPERATIONS [TIMEOUT_MS]\n");
		return EXIT_CODE_CONFIG;
	}
	if (argc == 5)
		timeout_ms = (unsigned)strtoul(argv[4], NULL, 10);
	if (setup(argv[1], argv[2], &config, &err) < 0)
		return errmsg_print(&err, "vault_call");
	while (r == 0 && rest)
		r = call(strsep(&rest, ","));
	vault_close(vault);
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}
