/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl check: is this key fit to be a protector, and can we use it? */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "tdefs/bytes.h"

static json_t *requirement_json(const struct requirement *q)
{
	return json_pack("{s:s, s:s, s:s, s:s?}", "requirement", q->name, "state",
			 requirement_state_name(q->state), "text", q->text, "next",
			 q->next[0] ? q->next : NULL);
}

json_t *report_json(const struct protector_report *r, const char *kid)
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
	return json_pack("{s:s, s:s?, s:s?, s:o}", "protector", kid, "kid",
			 r->key.kid[0] ? r->key.kid : NULL, "thumbprint",
			 thumbprint[0] ? thumbprint : NULL, "requirements", list);
}

void print_report(const struct protector_report *r, const char *kid)
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

/*
 * What a formatted volume is wrapped by is what must be usable, not the newest
 * version that the protector's name stands for by now. 1, or 0 where that is not
 * known; an error is a header that this program cannot read.
 */
static int slot_of(const struct volume_config *vc, struct key_slot *ret_slot, struct errmsg *reterr)
{
	CLEANUP_BACKING struct backing b = BACKING_NONE;
	CLEANUP_FREE struct header_found *found = malloc(sizeof(*found));
	struct errmsg err = { 0 };
	int r;

	if (!found || backing_open(vc->backing, vc->name, true, &b, &err) < 0 || b.header_fd < 0)
		return 0;
	r = header_read(&sysio_kernel, b.header_fd, vc->name, found, &err);
	if (r == -EPROTONOSUPPORT) {
		*reterr = err;
		return r;
	}
	if (r < 0)
		return 0;
	*ret_slot = *volume_header_active_slot(&found->header);
	return protector_covers(vc->settings.protector, ret_slot->kid);
}

/* The same name, another key: what is in the header cannot be opened with it. */
void add_identity(struct protector_report *r, const struct key_slot *slot)
{
	struct requirement *q = &r->requirements[r->count];

	if (!r->key.kid[0] || r->count == REQUIREMENTS_MAX)
		return;
	*q = (struct requirement){ .name = "header",
				   .state = REQUIREMENT_MET,
				   .exit_code = EXIT_CODE_FAILED,
				   .error = -EKEYREJECTED };
	(void)snprintf(q->text, sizeof(q->text), "the volume is wrapped by this key");
	if (memcmp(r->key.thumbprint, slot->thumbprint, THUMBPRINT_LEN) != 0) {
		q->state = REQUIREMENT_MISSING;
		(void)snprintf(q->text, sizeof(q->text), "another key wrapped the volume");
		(void)snprintf(q->next, sizeof(q->next),
			       "put that key back: see its thumbprint in tdefsctl header dump");
	}
	r->count++;
}

/* Some that allow its vault; if none do, [server]'s say so. */
static const struct settings *settings_that_allow(const struct config *c, const char *kid)
{
	char host[KID_VAULT_MAX];

	if (vault_host_of(kid, host) < 0 || settings_allow_host(&c->server, host))
		return &c->server;
	for (size_t i = 0; i < c->nvolumes; i++)
		if (settings_allow_host(&c->volumes[i].settings, host))
			return &c->volumes[i].settings;
	return &c->server;
}

/* The settings by which a kid is reached: a volume's, with its slot if it is formatted, or [server]'s. */
static int settings_of(struct call *call, const char *name, const struct settings **ret_settings,
		       const char **ret_kid, struct key_slot *ret_slot)
{
	const struct volume_config *vc;
	int r;

	if (strchr(name, ':')) {
		*ret_settings = settings_that_allow(call->config, name);
		*ret_kid = name;
		return 0;
	}
	if (config_volume(call->config, name, &vc, &call->err) < 0)
		return -1;
	r = slot_of(vc, ret_slot, &call->err);
	*ret_settings = &vc->settings;
	*ret_kid = r > 0 ? ret_slot->kid : vc->settings.protector;
	return r < 0 ? r : 0;
}

/* Whose event log tells of the check: of a KID, that of a volume which uses it. */
static const char *volume_of(const struct call *call, const char *kid)
{
	return strchr(call->args[0], ':') ? call_volume_of(call, kid) : call->args[0];
}

/* The same of the volume's secondary, if it has one; the worse code of both. */
static int add_secondary(struct call *call, const struct vault_watch *watch,
			 const struct key_slot *slot, json_t *answer,
			 struct protector_report *report, int code)
{
	const struct volume_config *vc;
	const char *kid;

	if (strchr(call->args[0], ':') ||
	    config_volume(call->config, call->args[0], &vc, &call->err) < 0 ||
	    !vc->settings.secondary)
		return code;
	code = worse_exit_code(code, check_secondary(call, watch, vc, slot, report));
	kid = report->key.kid[0] ? report->key.kid : vc->settings.secondary;
	if (!call->json)
		print_report(report, kid);
	else if (json_object_set_new(answer, "secondary", report_json(report, kid)) < 0)
		return print_json(NULL, EXIT_CODE_FAILED);
	return code;
}

int verb_check(struct call *call)
{
	CLEANUP_JSON json_t *answer = NULL;
	CLEANUP_FREE struct protector_report *report = malloc(sizeof(*report));
	struct vault_watch watch;
	CLEANUP_WATCHED_VAULT struct watched_vault *vault = NULL;
	const struct settings *settings;
	struct key_slot slot = { 0 };
	const char *kid;
	int code = EXIT_CODE_DONE;

	if (call->ha)
		return check_ha(call);
	if (!report)
		return print_json(NULL, EXIT_CODE_FAILED);
	if (settings_of(call, call->args[0], &settings, &kid, &slot) < 0)
		return call_failed(call);
	watch = call_watch(call, "check", call->args[0], volume_of(call, kid));
	if (watched_vault_open(&watch, kid, settings, &clock_kernel, &vault, &call->err) < 0)
		return call_failed(call);
	protector_check(watched_vault_of(vault), kid, &call->config->policy, (uint64_t)time(NULL),
			report);
	if (kid == slot.kid)
		add_identity(report, &slot);
	if (protector_verdict(report, kid, &call->err) < 0)
		code = (int)call->err.exit_code;
	if (call->json)
		answer = report_json(report, kid);
	else
		print_report(report, kid);
	code = add_secondary(call, &watch, kid == slot.kid ? &slot : NULL, answer, report, code);
	return call->json ? print_json(TAKE_PTR(answer), code) : code;
}
