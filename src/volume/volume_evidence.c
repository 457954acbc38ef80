/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume's vaults say together (DESIGN.md, "Two vaults"), and whether
 * the second would do: the daily proof. Questions are volume_secondary.c's.
 */
#include "volume_evidence.h"

#include <errno.h>

#include "tdefs/crypto.h"
#include "tdefs/log.h"
#include "volume_event.h"
#include "volume_secondary.h"

#define DAY_MS	      ((uint64_t)24 * 3600 * 1000)
#define RETRY_MOST_MS ((uint64_t)3600 * 1000)
#define LOOK_MS	      60000u /* a machine that slept does not miss its turn by more */
#define GRACE_MS      500u   /* a vault that answers at the last moment says more than silence */

/* Whether the secondary is to be asked, after this answer of the primary. */
static bool is_needed(struct volume *v, const struct vault_report *primary)
{
	struct secondary *s = v->secondary;

	if (!s)
		return false;
	LOCK_SCOPE(&s->lock);
	s->view.primary_failed = primary->verdict == VAULT_UNREACHABLE;
	if (s->view.primary_failed)
		s->view.primary = primary->error;
	return s->view.primary_failed;
}

static bool serves(struct secondary *s)
{
	LOCK_SCOPE(&s->lock);
	return s->serves;
}

/* Both answers as one; `report` is the primary's, and becomes that of the one that counts. */
static struct guard_probe weigh(struct secondary *s, struct vault_report *report,
				const struct vault_report *second)
{
	struct guard_probe p = guard_evidence(report->verdict, &second->verdict, serves(s));

	if (second->verdict != VAULT_GRANTED)
		secondary_is_broken(s, second);
	if (p.secondary)
		*report = *second;
	return p;
}

struct guard_probe volume_probe_vaults(struct volume *v, struct vault_report *ret_report)
{
	const uint64_t wait_ms = (uint64_t)volume_probe_timeout(v) + GRACE_MS;
	struct vault_report second = { 0 };

	volume_probe(v, ret_report);
	if (!is_needed(v, ret_report))
		return (struct guard_probe){ .verdict = ret_report->verdict };
	secondary_ask(v->secondary, ASKER_GUARD, wait_ms, NULL, &second);
	return weigh(v->secondary, ret_report, &second);
}

struct guard_probe volume_unlock_vaults(struct volume *v, struct vault_report *ret_report)
{
	const uint64_t wait_ms = 3 * (uint64_t)volume_probe_timeout(v) + GRACE_MS;
	CLEANUP_SECRET struct secret *dek = NULL;
	struct vault_report second = { 0 };

	volume_unlock(v, ret_report);
	if (!is_needed(v, ret_report))
		return (struct guard_probe){ .verdict = ret_report->verdict };
	if (secondary_ask(v->secondary, ASKER_GUARD, wait_ms, &dek, &second) == VAULT_GRANTED)
		volume_take_dek(v, TAKE_PTR(dek), &second);
	return weigh(v->secondary, ret_report, &second);
}

void secondary_is_broken(struct secondary *s, const struct vault_report *report)
{
	const struct volume *v = s->volume;
	bool told;

	{
		LOCK_SCOPE(&s->lock);
		told = s->view.ha_broken || s->ended;
		if (!s->view.ha_broken)
			s->view.broken_since = clock_kernel.now();
		s->view.ha_broken = true;
		s->view.reason = report->error;
	}
	if (told)
		return;
	log_warning("volume %s: event=ha_broken class=%s: %s", v->vc->name,
		    vault_verdict_name(report->verdict), report->error.text);
	volume_event_ha_broken(v, report);
}

void secondary_is_proved(struct secondary *s)
{
	const struct volume *v = s->volume;
	bool was_broken;

	{
		LOCK_SCOPE(&s->lock);
		was_broken = s->view.ha_broken;
		s->view.ha_broken = false;
		s->view.proved_at = clock_kernel.now();
	}
	if (was_broken)
		log_info("volume %s: event=ha_proof: the secondary unwraps its DEK again",
			 v->vc->name);
	volume_event_ha_proof(v, v->vc->settings.secondary);
}

uint64_t volume_about(uint64_t ms)
{
	uint16_t chance = 0;

	if (random_bytes(&chance, sizeof(chance)) < 0)
		return ms;
	return ms * (900 + chance % 201) / 1000;
}

static void prove(struct secondary *s)
{
	const uint64_t retry_ms = 10 * atomic_load(&s->volume->probe_interval_ms);
	CLEANUP_SECRET struct secret *dek = NULL;
	struct vault_report report = { 0 };
	bool good = secondary_ask(s, ASKER_PROVER,
				  3 * (uint64_t)volume_probe_timeout(s->volume) + GRACE_MS, &dek,
				  &report) == VAULT_GRANTED;

	if (good)
		secondary_is_proved(s);
	else
		secondary_is_broken(s, &report);
	LOCK_SCOPE(&s->lock);
	if (s->another_key) /* what was proved is the key before */
		return;
	s->due_ms =
		clock_kernel.boot_ms() + volume_about(good			 ? DAY_MS
						      : retry_ms < RETRY_MOST_MS ? retry_ms
										 : RETRY_MOST_MS);
}

/* False: the volume ends. */
static bool wait_until_due(struct secondary *s)
{
	LOCK_SCOPE(&s->lock);

	while (!s->ended) {
		uint64_t now = clock_kernel.boot_ms();
		uint64_t wait_ms = s->up && s->due_ms > now ? s->due_ms - now : LOOK_MS;

		if (s->up && now >= s->due_ms) {
			s->another_key = false;
			return true;
		}
		secondary_wait(s, wait_ms < LOOK_MS ? wait_ms : LOOK_MS);
	}
	return false;
}

/* The primary's share is its canary, which is asked for all day. */
void *secondary_prove_daily(void *arg)
{
	struct secondary *s = arg;

	while (wait_until_due(s))
		prove(s);
	return NULL;
}
