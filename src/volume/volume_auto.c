/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "volume_auto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/crypto.h"
#include "tdefs/log.h"
#include "tdefs/protector.h"
#include "tdefs/secondary.h"
#include "volume_event.h"
#include "volume_evidence.h"
#include "volume_newest.h"

#define RETRY_FIRST_MS ((uint64_t)60 * 1000)
#define RETRY_MOST_MS  ((uint64_t)3600 * 1000)

enum auto_action auto_decide(const struct auto_facts *f)
{
	if (!f->enabled || !f->to_do || f->at_work)
		return AUTO_NOTHING;
	if (f->pinned || !f->named)
		return AUTO_LEAVE;
	if (!f->up || !f->due)
		return AUTO_WAIT;
	if (f->second == SECOND_NOT_ASKED)
		return AUTO_ASK_SECOND;
	return f->second == SECOND_LACKS_IT ? AUTO_HOLD : AUTO_ROTATE;
}

uint64_t auto_spread_ms(uint64_t poll_ms, uint16_t chance)
{
	return poll_ms / 4 * chance / UINT16_MAX;
}

uint64_t auto_retry_ms(unsigned failures)
{
	uint64_t ms = RETRY_FIRST_MS;

	while (failures-- > 1 && ms < RETRY_MOST_MS)
		ms *= 2;
	return ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
}

static uint64_t spread(uint64_t poll_ms)
{
	uint16_t chance = 0;

	if (random_bytes(&chance, sizeof(chance)) < 0)
		return 0;
	return auto_spread_ms(poll_ms, chance);
}

void auto_forget(struct auto_rotation *a)
{
	a->not_safe = false;
	a->kid[0] = '\0';
	a->failures = 0;
	a->held = a->left = false;
}

void auto_found(struct newest *n, uint64_t now_ms)
{
	struct auto_rotation *a = &n->by_itself;

	if (a->not_safe)
		return; /* first that */
	if (!n->view.newer) {
		auto_forget(a);
		return;
	}
	if (strcmp(a->kid, n->view.kid) == 0)
		return;
	auto_forget(a);
	memcpy(a->kid, n->view.kid, sizeof(a->kid));
	a->due_ms = now_ms + spread(n->pause_ms);
}

bool auto_is_awaited(const struct newest *n, uint64_t *ret_due_ms)
{
	const struct auto_rotation *a = &n->by_itself;

	*ret_due_ms = a->due_ms;
	return a->enabled && a->kid[0] && !a->at_work && n->up;
}

/* Also the version's thumbprint, and in the request which it is. */
static struct auto_facts facts_of(struct newest *n, struct rotation_request *request,
				  uint8_t thumbprint[static THUMBPRINT_LEN])
{
	const struct auto_rotation *a = &n->by_itself;
	/* First: what was found under a header before this one is refused by the rotor. */
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(n->volume->key);
	LOCK_SCOPE(&n->lock);

	memcpy(request->to, a->kid, sizeof(request->to));
	request->if_sequence = key->header.sequence;
	memcpy(thumbprint, n->view.thumbprint, THUMBPRINT_LEN);
	return (struct auto_facts){
		.enabled = a->enabled,
		.to_do = a->kid[0],
		.at_work = a->at_work,
		.up = n->up,
		.due = clock_kernel.boot_ms() >= a->due_ms,
		.pinned = volume_header_is_pinned(&key->header),
		.named = protector_covers(a->protector, a->kid),
		/* What is in force already is no matter of the second vault any more. */
		.second = n->second && !a->not_safe ? SECOND_NOT_ASKED : SECOND_NONE,
	};
}

static enum auto_second ask_second(struct newest *n, const uint8_t thumbprint[THUMBPRINT_LEN],
				   struct vault_report *rep)
{
	const struct volume *v = n->volume;
	struct key_slot wanted = { 0 };
	char there[KID_MAX + 1];

	memcpy(wanted.thumbprint, thumbprint, THUMBPRINT_LEN);
	watched_vault_probing(n->second);
	secondary_find(watched_vault_of(n->second), v->vc->settings.secondary, &wanted, v->vc->name,
		       &clock_kernel, volume_probe_timeout(v), there, rep);
	watched_vault_probed(n->second);
	return rep->verdict == VAULT_GRANTED ? SECOND_HAS_IT : SECOND_LACKS_IT;
}

static void put_off(struct newest *n, uint64_t ms)
{
	LOCK_SCOPE(&n->lock);
	n->by_itself.due_ms = clock_kernel.boot_ms() + ms;
}

/* What an operator does about it wakes us: a rotation, or a reload. */
static void leave(struct newest *n)
{
	struct auto_rotation *a = &n->by_itself;
	LOCK_SCOPE(&n->lock);

	a->due_ms = clock_kernel.boot_ms() + RETRY_MOST_MS;
	a->failures = 0;
	a->held = false;
	a->left = true;
}

/* Until the next poll. The vault's word is about the slot's key; this one is no key of a slot yet. */
static void hold(struct newest *n, const char *kid, const uint8_t thumbprint[THUMBPRINT_LEN],
		 const struct vault_report *rep)
{
	const struct volume *v = n->volume;
	struct auto_rotation *a = &n->by_itself;
	bool told;

	{
		LOCK_SCOPE(&n->lock);
		a->held = true;
		a->due_ms = clock_kernel.boot_ms() + n->pause_ms;
		errmsg_next(&a->why, "import that version in the secondary vault (or restore its "
				     "backup there): it is taken once both have it");
		IGNORE_RESULT(errmsg_fail(&a->why, -EKEYREJECTED, EXIT_CODE_TRY_AGAIN,
					  "%s is not taken: it is not found in the secondary %s: "
					  "%.300s",
					  kid, v->vc->settings.secondary,
					  rep->verdict == VAULT_BROKEN ? "no version there is it"
								       : rep->error.text),
			      "it is told");
		told = strcmp(a->held_told, kid) == 0;
		memcpy(a->held_told, kid, sizeof(a->held_told));
	}
	if (told)
		return;
	log_warning("volume %s: event=rotation_held kid=%s class=%s: %s", v->vc->name, kid,
		    vault_verdict_name(rep->verdict), rep->error.text);
	volume_event_rotation_held(v, kid, thumbprint, rep);
}

static void begin(struct newest *n, const struct rotation_request *request)
{
	struct errmsg not_now = { 0 };
	uint64_t number;

	{
		LOCK_SCOPE(&n->lock);
		n->by_itself.held = n->by_itself.left = false;
		n->by_itself.at_work = true;
	}
	if (volume_rotate(n->volume, request, &number, &not_now) == 0)
		return;
	/* Another is at work, or the volume is not online: no failure, and not its time. */
	put_off(n, volume_about(RETRY_FIRST_MS));
	LOCK_SCOPE(&n->lock);
	n->by_itself.at_work = false;
}

void auto_act(struct newest *n)
{
	struct rotation_request request = { .by_itself = true };
	uint8_t thumbprint[THUMBPRINT_LEN];
	struct auto_facts facts = facts_of(n, &request, thumbprint);
	enum auto_action action = auto_decide(&facts);
	struct vault_report rep = { 0 };

	if (action == AUTO_ASK_SECOND) {
		facts.second = ask_second(n, thumbprint, &rep);
		action = auto_decide(&facts);
	}
	if (action == AUTO_ROTATE)
		begin(n, &request);
	else if (action == AUTO_HOLD)
		hold(n, request.to, thumbprint, &rep);
	else if (action == AUTO_LEAVE)
		leave(n);
}

void auto_rotated(struct newest *n, const struct rotation_outcome *outcome)
{
	struct auto_rotation *a;

	if (!n)
		return;
	a = &n->by_itself;
	LOCK_SCOPE(&n->lock);
	a->at_work = false;
	if (outcome->error < 0 && a->enabled) {
		a->not_safe = outcome->rotated;
		if (a->not_safe)
			memcpy(a->kid, outcome->after.kid, sizeof(a->kid));
		a->failures++;
		a->why = outcome->message;
		a->due_ms = clock_kernel.boot_ms() + volume_about(auto_retry_ms(a->failures));
	} else {
		auto_forget(a);
		auto_found(n, clock_kernel.boot_ms()); /* a look may have found the next by now */
	}
	pthread_cond_broadcast(&n->changed);
}

void volume_auto_rotation_view(const struct volume *v, struct auto_rotation_view *ret_view)
{
	struct newest *n = v->newest;
	const struct auto_rotation *a = &n->by_itself;
	const uint64_t now_ms = clock_kernel.boot_ms();
	uint64_t due_ms;
	LOCK_SCOPE(&n->lock);

	*ret_view = (struct auto_rotation_view){ .enabled = a->enabled,
						 .held = a->held,
						 .left = a->left,
						 .failures = a->failures,
						 .why = a->why };
	if (auto_is_awaited(n, &due_ms) && !a->left)
		ret_view->at =
			clock_kernel.now() + (due_ms > now_ms ? (due_ms - now_ms) / 1000 : 0);
	if (!a->held && !a->failures)
		ret_view->why = (struct errmsg){ 0 };
}
