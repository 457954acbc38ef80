/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl check: is this key fit to be a protector, and can we use it? */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tdefs/bytes.h"
#include "tdefs/protector.h"
#include "tdefsctl.h"

static json_t *requirement_json(const struct requirement *q)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "requirement", q->name, "state",
			 requirement_state_name(q->state), "text", q->text, "next", q->next);
}

static json_t *report_json(const struct protector_report *r, const char *kid)
{
	json_t *list = json_array();
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)] = "";

	for (size_t i = 0; list && i < r->count; i++)
		if (json_array_append_new(list, requirement_json(&r->requirements[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	if (r->key.kid[0])
		hex_encode(r->key.thumbprint, THUMBPRINT_LEN, thumbprint);
	return json_pack("{s:i, s:s, s:s, s:s, s:o}", "schema", CONTROL_SCHEMA, "protector", kid,
			 "kid", r->key.kid, "thumbprint", thumbprint, "requirements", list);
}

static void print_report(const struct protector_report *r, const char *kid)
{
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)];

	printf("%s\n", kid);
	for (size_t i = 0; i < r->count; i++) {
		const struct requirement *q = &r->requirements[i];

		printf("  %-8s%-17s %s\n", requirement_state_name(q->state), q->name, q->text);
		if (q->next[0])
			printf("          next: %s\n", q->next);
	}
	if (r->key.kid[0])
		printf("  kid        %s\n  thumbprint %s\n", r->key.kid,
		       hex_encode(r->key.thumbprint, THUMBPRINT_LEN, thumbprint));
}

/* The settings by which a kid is reached: a volume's, or those of [server]. */
static int settings_of(struct call *call, const char *name, const struct settings **ret_settings,
		       const char **ret_kid)
{
	const struct volume_config *vc;

	if (strchr(name, ':')) {
		*ret_settings = &call->config->server;
		*ret_kid = name;
		return 0;
	}
	if (config_volume(call->config, name, &vc, &call->err) < 0)
		return -1;
	*ret_settings = &vc->settings;
	*ret_kid = vc->settings.protector;
	return 0;
}

int verb_check(struct call *call)
{
	CLEANUP_FREE struct protector_report *report = malloc(sizeof(*report));
	CLEANUP_VAULT struct vault *vault = NULL;
	const struct settings *settings;
	const char *kid;
	int code = EXIT_CODE_DONE;

	if (!report)
		return print_json(NULL, EXIT_CODE_FAILED);
	if (settings_of(call, call->args[0], &settings, &kid) < 0 ||
	    vault_open(kid, settings, &clock_kernel, &vault, &call->err) < 0)
		return call_failed(call);
	protector_check(vault, kid, &call->config->policy, (uint64_t)time(NULL), report);
	if (protector_verdict(report, kid, &call->err) < 0)
		code = (int)call->err.exit_code;
	if (call->json)
		return print_json(report_json(report, kid), code);
	print_report(report, kid);
	return code;
}
