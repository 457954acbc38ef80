/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told of a guard: names, deadlines, invariants; and two vaults' evidence as one. */
#include <stdio.h>
#include <string.h>

#include "tdefs/guard.h"

static uint64_t left(uint64_t until_ms, uint64_t now_ms)
{
	if (until_ms == GUARD_NEVER)
		return GUARD_NEVER;
	return until_ms > now_ms ? until_ms - now_ms : 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t guard_until_read_only(const struct guard_policy *p, const struct guard *g, uint64_t now_ms)
{
	if (g->state == GUARD_READ_ONLY || g->state == GUARD_INACCESSIBLE)
		return 0;
	return left(guard_outage_ms(g, p->outage_read_only_after_ms), now_ms);
}

/* When the last probe that confirms a pending denial is due. */
static uint64_t confirmed_ms(const struct guard_policy *p, const struct guard *g)
{
	return g->denied_ms + (uint64_t)p->denied_confirmations * p->denied_confirm_interval_ms;
}

uint64_t guard_until_denied(const struct guard_policy *p, const struct guard *g, uint64_t now_ms)
{
	uint64_t until;

	if (g->state == GUARD_INACCESSIBLE)
		return 0;
	until = left(guard_outage_ms(g, p->outage_deny_after_ms), now_ms);
	if (g->denials > 0 || g->reasons & GUARD_DENIED)
		until = earlier(until, left(p->on_denied == ON_DENIED_READ_ONLY
						    ? g->denied_ms + p->denied_read_only_for_ms
						    : confirmed_ms(p, g),
					    now_ms));
	return until;
}

uint64_t guard_next_tick(const struct guard_policy *p, const struct guard *g)
{
	uint64_t next = g->next_probe_ms;

	if (g->state >= GUARD_ONLINE && !(g->reasons & GUARD_OUTAGE))
		next = earlier(next, guard_outage_ms(g, p->outage_read_only_after_ms));
	else if (g->state >= GUARD_ONLINE && g->target != GUARD_INACCESSIBLE)
		next = earlier(next, guard_outage_ms(g, p->outage_deny_after_ms));
	if (g->denials > 0 && !(g->reasons & GUARD_DENIED))
		next = earlier(next, g->denied_ms + GUARD_SILENCE_CONFIRMS_MS);
	if (g->reasons & GUARD_DENIED && g->target != GUARD_INACCESSIBLE)
		next = earlier(next, g->denied_ms + p->denied_read_only_for_ms);
	if (g->reasons & GUARD_DRILL)
		next = earlier(next, g->drill_until_ms);
	return next;
}

struct guard_record guard_record_of(const struct guard *g)
{
	bool denied = g->reasons & GUARD_DENIED, said = denied || guard_is_pending(g);

	return (struct guard_record){ .locked = g->reasons & GUARD_LOCKED,
				      .denied = denied,
				      .pending = guard_is_pending(g),
				      .denied_secondary = said && g->denied_secondary,
				      .denied_at = said ? g->denied_at : 0,
				      .granted_at = g->granted_at };
}

bool guard_is_sound(const struct guard *g)
{
	bool down = g->reasons != 0;

	if (g->state == GUARD_DRAINING)
		return g->target == GUARD_READ_ONLY || g->target == GUARD_INACCESSIBLE;
	if (g->target != g->state)
		return false;
	switch (g->state) {
	case GUARD_STARTING:
	case GUARD_WAITING:
	case GUARD_FAILED:
		return !g->has_key && !down;
	case GUARD_ONLINE:
		return g->has_key && !down;
	case GUARD_READ_ONLY:
		return g->has_key;
	case GUARD_INACCESSIBLE:
		return !g->has_key;
	default:
		return false;
	}
}

struct guard_probe guard_evidence(enum vault_verdict primary, const enum vault_verdict *secondary,
				  bool serving)
{
	bool ask = primary == VAULT_UNREACHABLE && secondary;

	if (ask && (*secondary == VAULT_GRANTED || (*secondary == VAULT_DENIED && serving)))
		return (struct guard_probe){ *secondary, true };
	return (struct guard_probe){ primary, false };
}

const char *guard_state_name(enum guard_state state)
{
	static const char *const names[] = {
		[GUARD_STARTING] = "starting",
		[GUARD_WAITING] = "waiting",
		[GUARD_FAILED] = "failed",
		[GUARD_ONLINE] = "online",
		[GUARD_READ_ONLY] = "read-only",
		[GUARD_DRAINING] = "draining",
		[GUARD_INACCESSIBLE] = "inaccessible",
	};

	return names[state];
}

const char *guard_reasons_text(unsigned reasons, char *out, size_t len)
{
	static const char *const names[] = { "denied", "outage", "locked", "drill" };
	size_t at = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(names) && at < len; i++)
		if (reasons & 1u << i)
			at += (size_t)snprintf(out + at, len - at, "%s%s", at ? "," : "", names[i]);
	return out;
}
