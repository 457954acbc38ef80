/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl check, of a volume's second vault: its key, and the proof that it would do. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "tdefs/secondary.h"

#define REVOKE_BOTH                                                                                \
	"to revoke the key, take it away at BOTH vaults: each of them opens the volume where the " \
	"other cannot be reached"

/* Nothing is ever wrapped there: what only wrapping needs is not missing. */
static void forgive_wrapping(struct protector_report *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct requirement *q = &r->requirements[i];
		bool wraps = strcmp(q->name, "wrapKey") == 0 ||
			     (strcmp(q->name, "key-operations") == 0 && r->key.may_unwrap);

		if (!wraps || q->state != REQUIREMENT_MISSING)
			continue;
		q->state = REQUIREMENT_NOTED;
		(void)snprintf(q->text, sizeof(q->text), "not needed at a secondary");
		q->next[0] = '\0';
	}
}

/* The permission that counts, by what the primary wrapped. */
static void add_canary(struct protector_report *r, const struct vault_report *rep)
{
	struct requirement *q = &r->requirements[r->count];
	bool met = rep->verdict == VAULT_GRANTED;

	if (r->count == REQUIREMENTS_MAX)
		return;
	*q = (struct requirement){ .name = "canary",
				   .state = met ? REQUIREMENT_MET : REQUIREMENT_MISSING,
				   .exit_code = met ? EXIT_CODE_DONE : protector_exit_code(rep),
				   .error = -EKEYREJECTED };
	(void)snprintf(q->text, sizeof(q->text), "%.500s",
		       met ? "it unwraps what the protector wrapped" : rep->error.text);
	if (!met)
		(void)snprintf(q->next, sizeof(q->next), "%.1000s", rep->error.next);
	r->count++;
}

int check_secondary(struct call *call, const struct vault_watch *watch,
		    const struct volume_config *vc, const struct key_slot *slot,
		    struct protector_report *ret_report)
{
	CLEANUP_WATCHED_VAULT struct watched_vault *watched = NULL;
	const char *kid = vc->settings.secondary;
	struct vault_report rep = { 0 };
	char found[KID_MAX + 1];
	struct vault *vault;

	*ret_report = (struct protector_report){ 0 };
	if (watched_vault_open(watch, kid, &vc->settings, &clock_kernel, &watched, &call->err) < 0)
		return (int)call->err.exit_code;
	vault = watched_vault_of(watched);
	if (slot && secondary_find(vault, kid, slot, vc->name, &clock_kernel,
				   VAULT_COMMAND_TIMEOUT_MS, found, &rep) == VAULT_GRANTED)
		kid = found;
	protector_check(vault, kid, &call->config->policy, (uint64_t)time(NULL), ret_report);
	forgive_wrapping(ret_report);
	if (slot)
		add_identity(ret_report, slot);
	if (kid == found) {
		secondary_probe(vault, kid, slot, vc->name, &clock_kernel, VAULT_COMMAND_TIMEOUT_MS,
				&rep);
		add_canary(ret_report, &rep);
	}
	return protector_verdict(ret_report, kid, &call->err) < 0 ? (int)call->err.exit_code
								  : EXIT_CODE_DONE;
}

/* Two vaults, and what each of them made of the header. */
struct proof {
	struct call *call;
	const struct volume_config *vc;
	const struct volume_header *header;
	struct vault_watch watch;
	struct vault_report report;
	char secondary[KID_MAX + 1];
};

static int refused(struct proof *p, const char *which)
{
	const struct errmsg *e = &p->report.error;

	errmsg_next(&p->call->err, "%s", e->next);
	return errmsg_fail(&p->call->err, -EKEYREJECTED,
			   e->exit_code ? e->exit_code : EXIT_CODE_FAILED, "the %s: %.900s", which,
			   e->text);
}

static int unlock_primary(struct proof *p, struct secret **ret_dek)
{
	CLEANUP_WATCHED_VAULT struct watched_vault *w = NULL;
	const struct settings *s = &p->vc->settings;
	int r = watched_vault_open(&p->watch, volume_header_active_slot(p->header)->kid, s,
				   &clock_kernel, &w, &p->call->err);

	if (r < 0)
		return r;
	r = keyring_unlock(watched_vault_of(w), s->protector, p->header, p->vc->name,
			   VAULT_COMMAND_TIMEOUT_MS, ret_dek, &p->report);
	return r < 0 ? refused(p, "protector") : 0;
}

static int unlock_secondary(struct proof *p, struct secret **ret_dek)
{
	CLEANUP_WATCHED_VAULT struct watched_vault *w = NULL;
	const struct settings *s = &p->vc->settings;
	int r = watched_vault_open(&p->watch, s->secondary, s, &clock_kernel, &w, &p->call->err);

	if (r < 0)
		return r;
	if (secondary_find(watched_vault_of(w), s->secondary, volume_header_active_slot(p->header),
			   p->vc->name, &clock_kernel, VAULT_COMMAND_TIMEOUT_MS, p->secondary,
			   &p->report) != VAULT_GRANTED ||
	    secondary_unlock(watched_vault_of(w), p->secondary, p->header, p->vc->name,
			     VAULT_COMMAND_TIMEOUT_MS, ret_dek, &p->report) != VAULT_GRANTED)
		return refused(p, "secondary");
	return 0;
}

static int prove(struct proof *p)
{
	CLEANUP_SECRET struct secret *one = NULL;
	CLEANUP_SECRET struct secret *other = NULL;
	int r = unlock_primary(p, &one);

	if (r == 0)
		r = unlock_secondary(p, &other);
	if (r < 0)
		return r;
	if (secret_len(one) == secret_len(other) &&
	    constant_time_equal(secret_view(one), secret_view(other), secret_len(one)))
		return 0;
	errmsg_next(&p->call->err, "put the protector's key into the secondary");
	return errmsg_fail(&p->call->err, -EKEYREJECTED, EXIT_CODE_FAILED,
			   "volume %s: the vaults unwrap different DEKs", p->vc->name);
}

static int tell(const struct proof *p)
{
	const char *name = p->vc->name, *kid = volume_header_active_slot(p->header)->kid;

	if (p->call->json)
		return print_json(json_pack("{s:s, s:b, s:o, s:o, s:s}", "name", name, "same_dek",
					    1, "primary", text_json(kid), "secondary",
					    text_json(p->secondary), "note", REVOKE_BOTH),
				  EXIT_CODE_DONE);
	printf("%s: both vaults unwrap the same DEK\n  primary    %s\n  secondary  %s\n"
	       "  note       " REVOKE_BOTH "\n",
	       name, kid, p->secondary);
	return EXIT_CODE_DONE;
}

int check_ha(struct call *call)
{
	const char *name = call->args[0];
	struct proof p = { .call = call };
	struct target t;
	int r;

	if (config_volume(call->config, name, &p.vc, &call->err) < 0)
		return call_failed(call);
	if (!p.vc->settings.secondary) {
		errmsg_next(&call->err, "set \"secondary\" to the same key in another vault");
		IGNORE_RESULT(errmsg_fail(&call->err, -ENOENT, EXIT_CODE_CONFIG,
					  "volume %s has no secondary", name),
			      "told so");
		return call_failed(call);
	}
	if (target_open(call, name, &t) < 0)
		return call_failed(call);
	p.header = &t.header.header;
	p.watch = call_watch(call, "check", name, name);
	r = prove(&p);
	target_close(&t);
	return r < 0 ? call_failed(call) : tell(&p);
}
