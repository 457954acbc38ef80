/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl policy: does each volume comply with each rule of [policy]? Changes nothing. */
#include "tdefs/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "key_facts.h"
#include "survey.h"

enum compliance { COMPLIANT, NON_COMPLIANT, UNKNOWN, OFF, NOT_APPLICABLE };

static const char *const compliance_names[] = {
	[COMPLIANT] = "compliant", [NON_COMPLIANT] = "non-compliant",
	[UNKNOWN] = "unknown",	   [OFF] = "off",
	[NOT_APPLICABLE] = "n/a",
};

struct finding {
	enum compliance state;
	char text[512];
	const char *next; /* of one that does not comply; NULL: none */
};

struct inquiry {
	struct call *call;
	struct key_facts facts;
};

/* The volume, and the key that wraps its DEK; of one without a header, that which is to. */
struct subject {
	const struct survey_header *header;
	const struct volume_config *vc;
	const struct key_slot *slot; /* NULL: not formatted */
	const char *kid;
	struct inquiry *inquiry;
};

__attribute__((format(printf, 4, 5))) static void find(struct finding *f, enum compliance state,
						       const char *next, const char *fmt, ...)
{
	va_list ap;

	f->state = state;
	f->next = state == NON_COMPLIANT || state == UNKNOWN ? next : NULL;
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

static const struct key_slot *previous_platform_slot(const struct survey_header *h)
{
	for (size_t i = 1; i < h->nslots; i++)
		if (!protector_is_customer_managed(h->slots[i].kid))
			return &h->slots[i];
	return NULL;
}

static void check_customer_managed(const struct subject *s, struct finding *f)
{
	const struct policy *p = &s->inquiry->call->config->policy;
	const char *kind = protector_kind_name(protector_kind_of(s->kid));
	const struct key_slot *previous = s->slot ? previous_platform_slot(s->header) : NULL;

	if (p->customer_managed_key == POLICY_DISABLED)
		find(f, OFF, NULL, "%s", kind);
	else if (!protector_is_customer_managed(s->kid))
		find(f, NON_COMPLIANT, "tdefsctl rotate to a key in a key vault",
		     "%s: the protector is no key of a key vault", kind);
	else if (previous)
		find(f, NON_COMPLIANT, "tdefsctl rotate --retire",
		     "%s, but the header keeps a previous slot of %s", kind, previous->kid);
	else
		find(f, COMPLIANT, NULL, "%s", kind);
}

/* OAEP's output is as long as the modulus: no vault is needed to know the key's size. */
static void check_bits(const struct subject *s, struct finding *f)
{
	const unsigned least = s->inquiry->call->config->policy.minimum_rsa_bits;
	const unsigned bits = s->slot ? (unsigned)s->slot->wrapped_dek_len * 8 : 0;

	if (!s->slot)
		find(f, NOT_APPLICABLE, NULL, "not formatted");
	else
		find(f, bits < least ? NON_COMPLIANT : COMPLIANT,
		     "make a longer version of the key, then tdefsctl rotate",
		     "RSA of %u bits, at least %u", bits, least);
}

static void check_purge(const struct subject *s, struct finding *f)
{
	const struct key_asker asker = { &s->vc->settings, s->vc->name };
	const struct key_fact *fact;

	if (!s->inquiry->call->config->policy.require_purge_protection) {
		find(f, OFF, NULL, "not asked for");
		return;
	}
	if (!protector_is_customer_managed(s->kid)) {
		find(f, NOT_APPLICABLE, NULL, "of no key vault");
		return;
	}
	fact = key_facts_ask(&s->inquiry->facts, &asker, s->kid, NULL);
	if (!fact || fact->verdict != VAULT_GRANTED)
		find(f, UNKNOWN, "bring the vault back, then ask again", "%s",
		     fact ? fact->error.text : "out of memory");
	else
		find(f,
		     fact->key.soft_delete && fact->key.purge_protection ? COMPLIANT
									 : NON_COMPLIANT,
		     "az keyvault update --enable-purge-protection true", "%s",
		     fact->key.recovery_level[0] ? fact->key.recovery_level : "no recovery level");
}

static void check_backup(const struct subject *s, struct finding *f)
{
	if (!s->inquiry->call->config->policy.require_key_backup)
		find(f, OFF, NULL, "not asked for");
	else
		find(f, NOT_APPLICABLE, NULL,
		     "asked at each format and rotation; only its operator knows of a backup");
}

static void check_vaults(const struct subject *s, struct finding *f)
{
	char host[KID_VAULT_MAX];

	if (vault_host_of(s->kid, host) < 0)
		find(f, NOT_APPLICABLE, NULL, "of no key vault");
	else
		find(f, settings_allow_host(&s->vc->settings, host) ? COMPLIANT : NON_COMPLIANT,
		     "tdefsctl rotate to a key in an allowed vault", "%s", host);
}

static const struct {
	const char *name;
	void (*check)(const struct subject *s, struct finding *f);
} rules[] = {
	{ POLICY_CUSTOMER_MANAGED_KEY, check_customer_managed },
	{ POLICY_MINIMUM_RSA_BITS, check_bits },
	{ POLICY_PURGE_PROTECTION, check_purge },
	{ POLICY_KEY_BACKUP, check_backup },
	{ POLICY_ALLOWED_VAULTS, check_vaults },
};

/* What one does not comply with outweighs all that is not known. */
static int worse_compliance(int a, int b)
{
	if (a == EXIT_CODE_POLICY || b == EXIT_CODE_POLICY)
		return EXIT_CODE_POLICY;
	return worse_exit_code(a, b);
}

static int code_of(enum compliance state)
{
	return state == NON_COMPLIANT ? EXIT_CODE_POLICY
	       : state == UNKNOWN     ? EXIT_CODE_TRY_AGAIN
				      : EXIT_CODE_DONE;
}

static json_t *volume_json(const struct subject *s, const struct finding *found, int code)
{
	json_t *list = json_object();

	for (size_t i = 0; list && i < ARRAY_SIZE(rules); i++) {
		json_t *f = json_pack("{s:s, s:o, s:s}", "state", compliance_names[found[i].state],
				      "text", text_json(found[i].text), "next",
				      found[i].next ? found[i].next : "");

		if (json_object_set_new(list, rules[i].name, f) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return json_pack("{s:s, s:o, s:s, s:b, s:b, s:i, s:o}", "name", s->vc->name, "protector",
			 text_json(s->kid), "kind", protector_kind_name(protector_kind_of(s->kid)),
			 "formatted", s->slot != NULL, "compliant", code == EXIT_CODE_DONE,
			 "exit_code", code, "rules", list);
}

static void print_volume(const struct subject *s, const struct finding *found)
{
	CLEANUP_FREE char *kid = text_new(s->kid);

	printf("%s: %s (%s)%s\n", s->vc->name, kid ? kid : "?",
	       protector_kind_name(protector_kind_of(s->kid)), s->slot ? "" : ", not formatted");
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		CLEANUP_FREE char *text = text_new(found[i].text);

		printf("  %-14s%-25s %s\n", compliance_names[found[i].state], rules[i].name,
		       text ? text : "?");
		if (found[i].next)
			printf("                next: %s\n", found[i].next);
	}
}

/* Its header cannot be read: nobody knows what it complies with. */
static int unreadable(struct call *call, const struct survey_header *h, json_t *volumes)
{
	json_t *error;

	call->err = *h->error;
	error = error_json(call);
	if (!call->json)
		(void)errmsg_print(&call->err, PROGRAM);
	if (error && (json_object_set_new(error, "name", json_string(h->volume->name)) < 0 ||
		      json_object_set_new(error, "compliant", json_null()) < 0)) {
		json_decref(error);
		error = NULL;
	}
	return json_array_append_new(volumes, error) < 0 ? EXIT_CODE_FAILED
							 : (int)h->error->exit_code;
}

static int look_at(struct inquiry *q, const struct survey_header *h, json_t *volumes)
{
	struct subject s = { .header = h, .vc = h->volume, .inquiry = q };
	struct finding found[ARRAY_SIZE(rules)];
	int code = EXIT_CODE_DONE;

	if (h->error)
		return unreadable(q->call, h, volumes);
	s.slot = h->nslots ? &h->slots[0] : NULL;
	s.kid = s.slot ? s.slot->kid : s.vc->settings.protector;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		rules[i].check(&s, &found[i]);
		code = worse_compliance(code, code_of(found[i].state));
	}
	if (!q->call->json)
		print_volume(&s, found);
	else if (json_array_append_new(volumes, volume_json(&s, found, code)) < 0)
		code = EXIT_CODE_FAILED;
	return code;
}

static json_t *policy_json(const struct policy *p)
{
	return json_pack("{s:s, s:i, s:b, s:b}", POLICY_CUSTOMER_MANAGED_KEY,
			 policy_effect_name(p->customer_managed_key), POLICY_MINIMUM_RSA_BITS,
			 (int)p->minimum_rsa_bits, POLICY_PURGE_PROTECTION,
			 (int)p->require_purge_protection, POLICY_KEY_BACKUP,
			 (int)p->require_key_backup);
}

int verb_policy(struct call *call)
{
	const char *name = call->nargs ? call->args[0] : NULL;
	CLEANUP_SURVEY struct survey survey = { 0 };
	CLEANUP_JSON json_t *volumes = json_array();
	struct inquiry q = { .call = call, .facts = { .call = call, .verb = "policy" } };
	const struct volume_config *vc;
	int code = EXIT_CODE_DONE;

	if (name && config_volume(call->config, name, &vc, &call->err) < 0)
		return call_failed(call);
	if (survey_take(call, &survey) < 0)
		return call_failed(call);
	for (size_t i = 0; i < survey.count; i++)
		if (!name || strcmp(survey.headers[i].volume->name, name) == 0)
			code = worse_compliance(code, look_at(&q, &survey.headers[i], volumes));
	key_facts_release(&q.facts);
	if (!call->json)
		return code;
	return print_json(json_pack("{s:o, s:O, s:i}", "policy", policy_json(&call->config->policy),
				    "volumes", volumes, "exit_code", code),
			  code);
}
