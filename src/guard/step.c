/* SPDX-License-Identifier: Apache-2.0 */
/* The step function: STATES.md as code. Knows no clocks, vaults or files. */
#include "tdefs/guard.h"

#include <stddef.h>

struct guard guard_start(const struct guard_record *record, struct guard_time t)
{
	struct guard g = { .state = GUARD_STARTING,
			   .target = GUARD_STARTING,
			   .next_probe_ms = t.ms };

	if (record->locked)
		g.reasons |= GUARD_LOCKED;
	if (record->denied)
		g.reasons |= GUARD_DENIED;
	g.denied_ms = t.ms;
	g.denied_at = record->denied_at;
	g.denied_secondary = record->denied_secondary;
	g.denials = record->pending; /* it goes on to be confirmed */
	g.granted_at = g.kept_at = record->granted_at;
	if (g.reasons)
		g.state = g.target = GUARD_INACCESSIBLE;
	return g;
}

static bool is_mounted(const struct guard *g)
{
	return g->state >= GUARD_ONLINE;
}

static void probe_in(struct guard *g, struct guard_time t, uint64_t wait_ms)
{
	g->next_probe_ms = t.ms + wait_ms;
}

/* The next probe in its ordinary turn, ten percent about. */
static void probe_by_interval(const struct guard_policy *p, struct guard *g, struct guard_time t)
{
	probe_in(g, t, p->probe_interval_ms * (900 + t.jitter) / 1000);
}

static void confirm_denial(struct guard *g)
{
	g->reasons |= GUARD_DENIED;
	g->heal_ms = 0;
}

/* Healing takes two grants, so that a permission that flaps while it spreads opens nothing. */
static void heal(const struct guard_policy *p, struct guard *g, struct guard_time t)
{
	if (t.now > g->denied_at + p->heal_window_ms / 1000)
		return; /* only tdefsctl resume, now */
	if (g->heal_ms == 0) {
		g->heal_ms = t.ms;
		probe_in(g, t, p->denied_confirm_interval_ms);
	} else if (t.ms - g->heal_ms >= p->denied_confirm_interval_ms) {
		g->reasons &= ~(unsigned)GUARD_DENIED;
		g->denials = 0;
	} else {
		g->next_probe_ms = g->heal_ms + p->denied_confirm_interval_ms;
	}
}

/* What the primary denied only the primary undoes. */
static bool undoes_denial(const struct guard *g, struct guard_probe probe)
{
	return g->denied_secondary || !probe.secondary;
}

static void on_grant(const struct guard_policy *p, struct guard *g, struct guard_probe probe,
		     struct guard_time t)
{
	g->granted = true;
	g->granted_at = t.now;
	g->granted_ms = t.ms;
	g->secondary_serves = probe.secondary;
	g->silent_ms = 0;
	g->extended_ms = 0;
	g->reasons &= ~(unsigned)GUARD_OUTAGE;
	probe_by_interval(p, g, t);
	if (!undoes_denial(g, probe)) {
		if (guard_is_pending(g)) /* who denied it is to be asked again soon */
			probe_in(g, t, p->denied_confirm_interval_ms);
		return;
	}
	if (g->reasons & GUARD_DENIED)
		heal(p, g, t);
	else
		g->denials = 0;
}

static void on_denial(const struct guard_policy *p, struct guard *g, struct guard_probe probe,
		      struct guard_time t)
{
	g->granted = false;
	g->heal_ms = 0;
	if (g->denials == 0 && !(g->reasons & GUARD_DENIED)) {
		g->denied_ms = t.ms;
		g->denied_at = t.now;
		g->denied_secondary = probe.secondary;
	}
	if (!probe.secondary) /* what it says counts for more, whoever was first */
		g->denied_secondary = false;
	g->denials++;
	if (g->denials > p->denied_confirmations || !is_mounted(g))
		confirm_denial(g);
	if (guard_is_pending(g))
		probe_in(g, t, p->denied_confirm_interval_ms);
	else
		probe_by_interval(p, g, t);
}

/* No answer, or one that says nothing of the key: the outage's clock runs. */
static void on_silence(const struct guard_policy *p, struct guard *g, struct guard_time t)
{
	g->granted = false;
	g->heal_ms = 0;
	if (g->silent_ms == 0)
		g->silent_ms = g->granted_ms ? g->granted_ms : t.ms;
	if (guard_is_pending(g) || !is_mounted(g))
		probe_in(g, t, p->denied_confirm_interval_ms);
	else
		probe_by_interval(p, g, t);
}

static void on_answer(const struct guard_policy *p, struct guard *g, struct guard_probe probe,
		      struct guard_time t)
{
	if (probe.verdict == VAULT_GRANTED)
		on_grant(p, g, probe, t);
	else if (probe.verdict == VAULT_DENIED)
		on_denial(p, g, probe, t);
	else
		on_silence(p, g, t);
}

static void end_drill(struct guard *g, struct guard_time t)
{
	g->reasons &= ~(unsigned)GUARD_DRILL;
	g->drill = GUARD_DRILL_NONE;
	probe_in(g, t, 0); /* the way up begins with a grant */
}

static void on_time(const struct guard_policy *p, struct guard *g, struct guard_time t)
{
	if (guard_is_pending(g) && t.ms - g->denied_ms >= GUARD_SILENCE_CONFIRMS_MS)
		confirm_denial(g);
	if (is_mounted(g) && t.ms >= guard_outage_ms(g, p->outage_read_only_after_ms))
		g->reasons |= GUARD_OUTAGE;
	if (g->reasons & GUARD_DRILL && t.ms >= g->drill_until_ms)
		end_drill(g, t);
}

static void begin_drill(struct guard *g, const struct guard_event *e, struct guard_time t)
{
	uint64_t for_ms = e->for_ms < GUARD_DRILL_MAX_MS ? e->for_ms : GUARD_DRILL_MAX_MS;

	g->reasons |= GUARD_DRILL;
	g->drill = e->drill;
	g->drill_until_ms = t.ms + for_ms;
}

static void resume(const struct guard_policy *p, struct guard *g, const struct guard_event *e,
		   struct guard_time t)
{
	on_answer(p, g, e->probe, t);
	if (e->probe.verdict != VAULT_GRANTED)
		return;
	g->reasons &= ~(unsigned)GUARD_LOCKED;
	if (!undoes_denial(g, e->probe))
		return;
	g->reasons &= ~(unsigned)GUARD_DENIED;
	g->denials = 0;
}

static void on_event(const struct guard_policy *p, struct guard *g, const struct guard_event *e,
		     struct guard_time t)
{
	switch (e->kind) {
	case GUARD_TICK:
	case GUARD_DRAINED:
	case GUARD_KEPT:
		break;
	case GUARD_PROBED:
		on_answer(p, g, e->probe, t);
		break;
	case GUARD_UNLOCKED:
		g->unlocking = false;
		g->has_key = true;
		on_grant(p, g, e->probe, t);
		break;
	case GUARD_UNLOCK_FAILED:
		g->unlocking = false;
		on_answer(p, g, e->probe, t);
		break;
	case GUARD_LOCK:
		g->reasons |= GUARD_LOCKED;
		break;
	case GUARD_RESUME:
		resume(p, g, e, t);
		break;
	case GUARD_EXTEND:
		g->extended_ms =
			e->for_ms < p->outage_extend_max_ms ? e->for_ms : p->outage_extend_max_ms;
		break;
	case GUARD_DRILL_BEGIN:
		begin_drill(g, e, t);
		break;
	case GUARD_DRILL_END:
		if (g->reasons & GUARD_DRILL)
			end_drill(g, t);
		break;
	}
}

/* A denial, real or rehearsed: read-only for a while, where the policy says so. */
static enum guard_state denied_target(const struct guard_policy *p, uint64_t since_ms,
				      uint64_t now_ms)
{
	return p->on_denied == ON_DENIED_READ_ONLY && now_ms - since_ms < p->denied_read_only_for_ms
		       ? GUARD_READ_ONLY
		       : GUARD_INACCESSIBLE;
}

static enum guard_state worse(enum guard_state a, enum guard_state b)
{
	return a > b ? a : b;
}

/* The state that the reasons ask for. */
static enum guard_state wanted(const struct guard_policy *p, const struct guard *g,
			       struct guard_time t)
{
	enum guard_state want = GUARD_ONLINE;

	if (g->reasons & GUARD_LOCKED)
		return GUARD_INACCESSIBLE;
	if (guard_is_pending(g)) /* the primary's: what the secondary grants lets nothing up */
		want = worse(want, g->target);
	/* What is down by a denial is not half up again by a restart. */
	if (g->reasons & GUARD_DENIED)
		want = worse(want, g->state == GUARD_INACCESSIBLE
					   ? GUARD_INACCESSIBLE
					   : denied_target(p, g->denied_ms, t.ms));
	if (g->reasons & GUARD_OUTAGE)
		want = worse(want, guard_until_denied(p, g, t.ms) == 0 ? GUARD_INACCESSIBLE
								       : GUARD_READ_ONLY);
	if (g->reasons & GUARD_DRILL)
		want = worse(want, g->drill == GUARD_DRILL_DENIAL &&
						   p->on_denied == ON_DENIED_INACCESSIBLE
					   ? GUARD_INACCESSIBLE
					   : GUARD_READ_ONLY);
	return want;
}

static unsigned go_down(struct guard *g, enum guard_state want)
{
	g->state = GUARD_DRAINING;
	g->target = want;
	return GUARD_DO_REFUSE;
}

static unsigned ask_for_key(struct guard *g)
{
	if (g->unlocking)
		return 0;
	g->unlocking = true;
	return GUARD_DO_UNLOCK;
}

static bool is_grant(const struct guard_event *e)
{
	return (e->kind == GUARD_PROBED || e->kind == GUARD_RESUME) &&
	       e->probe.verdict == VAULT_GRANTED;
}

/* A DEK that nothing may use: it came after what asked for it. */
static unsigned drop_key(struct guard *g)
{
	if (g->state != GUARD_INACCESSIBLE || !g->has_key)
		return 0;
	g->has_key = false;
	return GUARD_DO_WIPE;
}

/* Up, once it is remembered and the DEK is there; that is asked for after a grant only. */
static unsigned go_up(struct guard *g, const struct guard_event *e, enum guard_state want)
{
	if (g->unkept)
		return drop_key(g);
	if (!g->has_key)
		return is_grant(e) || (e->kind == GUARD_KEPT && g->granted) ? ask_for_key(g) : 0;
	g->state = g->target = want;
	return GUARD_DO_SWITCH | GUARD_DO_PURGE;
}

static unsigned stay_down(struct guard *g, const struct guard_event *e)
{
	if (e->kind == GUARD_PROBED) /* pages may have come into the cache again */
		return GUARD_DO_PURGE;
	return drop_key(g);
}

static unsigned finish_drain(struct guard *g, enum guard_state want)
{
	if (g->target == GUARD_INACCESSIBLE) {
		g->state = GUARD_INACCESSIBLE;
		g->has_key = false;
		return GUARD_DO_SWITCH | GUARD_DO_WIPE | GUARD_DO_PURGE;
	}
	if (!g->unkept)
		g->target = want; /* read-only, or online again meanwhile */
	g->state = g->target;
	return GUARD_DO_SWITCH | GUARD_DO_PURGE;
}

/* Before anything is mounted: the first answer decides. */
static unsigned settle_start(struct guard *g, const struct guard_event *e, struct guard_time t)
{
	/* Granted by the secondary, after the primary said no and fell silent. */
	if (g->has_key && guard_is_pending(g))
		confirm_denial(g);
	if (g->reasons) {
		g->state = g->target = GUARD_INACCESSIBLE;
		return GUARD_DO_SWITCH | drop_key(g);
	}
	if (g->has_key) {
		g->state = g->target = GUARD_ONLINE;
		return GUARD_DO_SWITCH;
	}
	if (e->kind == GUARD_UNLOCK_FAILED)
		g->state = g->target =
			e->probe.verdict == VAULT_BROKEN ? GUARD_FAILED : GUARD_WAITING;
	if (g->state == GUARD_FAILED)
		return 0;
	return is_grant(e) || t.ms >= g->next_probe_ms ? ask_for_key(g) : 0;
}

static unsigned settle(const struct guard_policy *p, struct guard *g, const struct guard_event *e,
		       struct guard_time t)
{
	enum guard_state want = wanted(p, g, t);

	if (!is_mounted(g))
		return settle_start(g, e, t);
	if (g->state == GUARD_DRAINING && want <= g->target)
		return e->kind == GUARD_DRAINED ? finish_drain(g, want) : 0;
	if (g->state == GUARD_DRAINING || want > g->state)
		return go_down(g, want);
	if (want < g->state)
		return go_up(g, e, want);
	return g->state == GUARD_ONLINE ? 0 : stay_down(g, e);
}

static bool record_differs(const struct guard_record *a, const struct guard_record *b)
{
	return a->locked != b->locked || a->denied != b->denied || a->pending != b->pending ||
	       a->denied_at != b->denied_at || a->denied_secondary != b->denied_secondary;
}

/* A grant is worth a write now and then only. */
static bool is_grant_old(const struct guard *g)
{
	uint64_t age = g->granted_at > g->kept_at ? g->granted_at - g->kept_at
						  : g->kept_at - g->granted_at;

	return age >= GUARD_KEEP_GRANT_S;
}

static unsigned keep(struct guard *g, const struct guard_record *before, enum guard_event_kind kind)
{
	struct guard_record now = guard_record_of(g);
	bool differs = record_differs(before, &now);

	if (differs)
		g->unkept = true;
	else if (kind == GUARD_KEPT)
		g->unkept = false;
	if (!differs && !is_grant_old(g))
		return 0;
	g->kept_at = g->granted_at;
	return GUARD_DO_PERSIST;
}

unsigned guard_step(const struct guard_policy *p, struct guard *g, const struct guard_event *e,
		    struct guard_time t)
{
	const struct guard_record before = guard_record_of(g);
	struct guard_record meanwhile;
	unsigned actions;

	on_event(p, g, e, t);
	on_time(p, g, t);
	actions = keep(g, &before, e->kind);
	meanwhile = guard_record_of(g);
	actions |= settle(p, g, e, t);
	return actions | keep(g, &meanwhile, GUARD_TICK); /* a start may confirm a denial */
}
