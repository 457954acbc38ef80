/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator does next, by what is the matter with the key. Pure. */
#include <stdio.h>

#include "tdefs/control.h"

/* Nothing is mounted yet. */
static void before_the_mount(const struct guard_view *view, const char *fix, char *out, size_t len)
{
	if (view->guard.state == GUARD_STARTING)
		(void)snprintf(out, len, "nothing: the vault is being asked");
	else if (view->guard.state == GUARD_WAITING)
		(void)snprintf(out, len, "%s; it is mounted as soon as the vault answers", fix);
	else
		(void)snprintf(out, len, "%s; then mount it again", fix);
}

/* Whose word it is that the volume is down, or about to be. */
static const char *denying_vault(const struct guard *g, const struct volume_config *vc,
				 const char *kid, char out[static KID_VAULT_MAX])
{
	const char *key =
		g->denied_secondary && vc->settings.secondary ? vc->settings.secondary : kid;
	struct kid parsed;

	return kid_parse(key, &parsed) == 0 ? kid_vault(&parsed, out) : key;
}

/* What would lift what is the matter: what the vault said itself, if it is about that. */
static void say_fix(const struct guard_view *view, const struct volume_config *vc, const char *kid,
		    char *out, size_t len)
{
	const struct guard *g = &view->guard;
	const struct vault_report *r = &view->report;
	bool denied = g->denials || g->reasons & GUARD_DENIED;
	/* The last answer may be another vault's than the one that denied. */
	bool apart = denied && vc->settings.secondary && r->verdict != VAULT_DENIED;
	char vault[KID_VAULT_MAX];

	if (view->answered && r->verdict != VAULT_GRANTED && !apart)
		(void)snprintf(out, len, "%s", r->error.next);
	else if (denied)
		(void)snprintf(out, len, "grant the key again in %s",
			       denying_vault(g, vc, kid, vault));
	else
		(void)snprintf(out, len, "grant the key again");
}

void control_next_step(const struct guard_view *view, const struct volume_config *vc,
		       const char *kid, char *out, size_t len)
{
	const struct guard *g = &view->guard;
	uint64_t heals_until = g->denied_at + view->policy.heal_window_ms / 1000;
	char fix[CONTROL_NEXT_STEP_MAX / 2 + 512];

	say_fix(view, vc, kid, fix, sizeof(fix));
	out[0] = '\0';
	if (g->state < GUARD_ONLINE)
		before_the_mount(view, fix, out, len);
	else if (g->reasons & GUARD_LOCKED)
		(void)snprintf(out, len, "tdefsctl resume %s, when it is to be used again",
			       vc->name);
	else if (g->reasons & GUARD_DENIED && view->report_at > heals_until)
		(void)snprintf(out, len,
			       "%s, then tdefsctl resume %s: the denial is too old to heal by "
			       "itself",
			       fix, vc->name);
	else if (g->reasons & GUARD_DENIED)
		(void)snprintf(out, len, "%s; then it heals by itself, or by tdefsctl resume %s",
			       fix, vc->name);
	else if (g->silent_ms || g->denials)
		(void)snprintf(out, len, "%s; then it heals by itself", fix);
	else if (g->secondary_serves)
		(void)snprintf(out, len,
			       "bring the primary vault back, or the way to it: until "
			       "then the secondary serves");
	else if (g->reasons & GUARD_DRILL)
		(void)snprintf(out, len, "nothing: this is a drill, and it ends by itself");
}
