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

void control_next_step(const struct guard_view *view, const struct volume_config *vc, char *out,
		       size_t len)
{
	const struct guard *g = &view->guard;
	uint64_t heals_until = g->denied_at + vc->settings.guard.heal_window_ms / 1000;
	const char *fix = view->answered && view->report.verdict != VAULT_GRANTED
				  ? view->report.error.next
				  : "grant the key again";

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
	else if (g->reasons & GUARD_DRILL)
		(void)snprintf(out, len, "nothing: this is a drill, and it ends by itself");
}
