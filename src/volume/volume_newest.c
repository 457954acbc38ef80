/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "volume_newest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/log.h"
#include "tdefs/protector.h"
#include "tdefs/threads.h"
#include "volume_event.h"
#include "volume_evidence.h"

#define LOOK_MS	      60000u /* a machine that slept does not miss its turn by more */
#define STOP_GRACE_MS 2000u  /* after the time that a question may take */
#define UNKNOWN_AFTER 3u     /* failures in a row */

/* What its thread does next. */
enum turn { TURN_END, TURN_LOOK, TURN_ACT };

/* Under the lock: when it looks again; false: never, as things are. */
static bool look_is_awaited(const struct newest *n, uint64_t now_ms, uint64_t *ret_due_ms)
{
	*ret_due_ms = n->asked ? n->asked_ms + n->pause_ms : now_ms;
	return n->up && n->pause_ms > 0;
}

/* Under the lock. TURN_END: nothing yet, for as long as `ret_wait_ms` at most. */
static enum turn turn_now(struct newest *n, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	uint64_t look_ms, act_ms, due_ms = now_ms + LOOK_MS;

	if (look_is_awaited(n, now_ms, &look_ms)) {
		if (now_ms >= look_ms)
			return TURN_LOOK;
		due_ms = look_ms < due_ms ? look_ms : due_ms;
	}
	if (auto_is_awaited(n, &act_ms)) {
		if (now_ms >= act_ms)
			return TURN_ACT;
		due_ms = act_ms < due_ms ? act_ms : due_ms;
	}
	*ret_wait_ms = due_ms - now_ms;
	return TURN_END;
}

/* TURN_END: the volume ends. */
static enum turn await_turn(struct newest *n)
{
	LOCK_SCOPE(&n->lock);

	while (!n->ended) {
		const uint64_t now_ms = clock_kernel.boot_ms();
		struct timespec until;
		uint64_t wait_ms;
		enum turn turn = turn_now(n, now_ms, &wait_ms);

		if (turn == TURN_LOOK) {
			n->asked = true;
			n->asked_ms = now_ms;
		}
		if (turn != TURN_END)
			return turn;
		until = monotonic_in(wait_ms);
		IGNORE_RESULT(pthread_cond_timedwait(&n->changed, &n->lock, &until),
			      "a look either way");
	}
	return TURN_END;
}

static bool is_another(const char *kid, const char *in_use)
{
	struct kid a, b;

	return kid_parse(kid, &a) == 0 && a.version[0] &&
	       !(kid_parse(in_use, &b) == 0 && kid_equal(&a, &b));
}

/* One that is disabled, or not valid now, is no news: nothing can be wrapped with it. */
static bool is_usable(const struct vault_key *key, uint64_t now)
{
	return key->enabled && key->not_before <= now && (!key->expires || now < key->expires);
}

/* The vault's newest came after the one in use, as far as the vault tells. */
static bool came_after(const struct vault_key *key, uint64_t in_use_created)
{
	return !key->created || !in_use_created || key->created >= in_use_created;
}

static void found(struct newest *n, const struct vault_key *key, uint64_t in_use_created)
{
	const struct volume *v = n->volume;
	CLEANUP_VOLUME_KEY struct volume_key *in_force = key_box_hold(v->key);
	const char *in_use = volume_key_slot(in_force)->kid;
	const bool newer = protector_covers(n->kid, in_use) && is_another(key->kid, in_use) &&
			   is_usable(key, clock_kernel.now()) && came_after(key, in_use_created);
	bool was_unknown, is_news;

	{
		LOCK_SCOPE(&n->lock);
		if (!n->asked) /* a rotation came meanwhile: this is of the key before, and the next look is due */
			return;
		was_unknown = n->view.unknown;
		is_news = newer && strcmp(n->told, key->kid) != 0;
		n->view = (struct newest_view){ .newer = newer };
		if (newer) {
			memcpy(n->view.kid, key->kid, sizeof(n->view.kid));
			memcpy(n->view.thumbprint, key->thumbprint, THUMBPRINT_LEN);
			n->view.created = key->created;
			memcpy(n->told, key->kid, sizeof(n->told));
		}
		auto_found(n, clock_kernel.boot_ms());
	}
	if (was_unknown)
		log_info("volume %s: event=newest_known", v->vc->name);
	if (!is_news)
		return;
	log_info("volume %s: event=newer_version kid=%s in_use=%s", v->vc->name, key->kid, in_use);
	volume_event_newer_version(v, key);
}

static void failed(struct newest *n, const struct vault_report *rep)
{
	const struct volume *v = n->volume;
	bool is_news;

	{
		LOCK_SCOPE(&n->lock);
		n->view.failures++;
		n->view.error = rep->error;
		is_news = !n->view.unknown && n->view.failures >= UNKNOWN_AFTER;
		n->view.unknown |= is_news;
	}
	if (is_news)
		log_warning("volume %s: event=newest_unknown class=%s: %s", v->vc->name,
			    vault_verdict_name(rep->verdict), rep->error.text);
}

static int open_vault(struct newest *n, struct vault_report *rep)
{
	char vault[KID_VAULT_MAX];
	struct kid kid;

	if (kid_parse(volume_key_slot(n->of)->kid, &kid) < 0)
		return 0; /* a file's */
	(void)snprintf(n->kid, sizeof(n->kid), "%s/keys/%s", kid_vault(&kid, vault), kid.name);
	return watched_vault_open(&n->watch, n->kid, n->of->settings, &clock_kernel, &n->vault,
				  &rep->error);
}

/* A rotation takes another key, perhaps of another vault, and may take other settings. */
static int follow(struct newest *n, struct vault_report *rep)
{
	struct volume_key *in_force = key_box_hold(n->volume->key);
	int r = 0;

	if (in_force == n->of && (n->vault || !n->kid[0])) {
		volume_key_let_go(in_force);
		return 0;
	}
	watched_vault_close(TAKE_PTR(n->vault));
	volume_key_let_go(n->of);
	n->of = in_force;
	n->kid[0] = '\0';
	r = open_vault(n, rep);
	if (r < 0)
		rep->verdict = VAULT_BROKEN;
	return r;
}

/* Of a linked key nobody wants a newer version: the protector is another one. */
static bool is_of_protector(struct newest *n)
{
	LOCK_SCOPE(&n->lock);
	return n->kid[0] && protector_covers(n->kid, n->by_itself.protector);
}

/* When the version in use was made: asked only for one that is not known to be newer. */
static bool must_compare(struct newest *n, const struct vault_key *key)
{
	LOCK_SCOPE(&n->lock);
	return is_another(key->kid, volume_key_slot(n->of)->kid) &&
	       !(n->view.newer && strcmp(n->view.kid, key->kid) == 0);
}

static enum vault_verdict get(struct newest *n, const char *kid, struct vault_key *ret_key,
			      struct vault_report *rep)
{
	struct vault *vault = watched_vault_of(n->vault);

	watched_vault_probing(n->vault);
	vault->ops->get(vault, kid, volume_probe_timeout(n->volume), ret_key, rep);
	watched_vault_probed(n->vault);
	return rep->verdict;
}

static void ask(struct newest *n)
{
	struct vault_key key = { 0 }, in_use = { 0 };
	struct vault_report rep = { 0 };

	if (get(n, n->kid, &key, &rep) == VAULT_GRANTED && must_compare(n, &key))
		get(n, volume_key_slot(n->of)->kid, &in_use, &rep);
	if (rep.verdict == VAULT_GRANTED)
		found(n, &key, in_use.created);
	else
		failed(n, &rep);
}

static void look(struct newest *n)
{
	struct vault_report rep = { 0 };

	if (follow(n, &rep) < 0)
		failed(n, &rep);
	else if (is_of_protector(n))
		ask(n);
}

static void *poll_newest(void *arg)
{
	struct newest *n = arg;
	enum turn turn;

	while ((turn = await_turn(n)) != TURN_END) {
		if (turn == TURN_LOOK)
			look(n);
		else
			auto_act(n);
	}
	LOCK_SCOPE(&n->lock);
	n->done = true;
	pthread_cond_broadcast(&n->changed);
	return NULL;
}

int newest_open(struct volume *v, struct errmsg *reterr)
{
	const struct settings *settings = &v->vc->settings;
	struct newest *n = calloc(1, sizeof(*n));

	if (!n)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	n->volume = v;
	n->watch = v->watch;
	n->watch.by = n->watch.probe_by = "rotation_poll";
	pthread_mutex_init(&n->lock, NULL);
	cond_init_monotonic(&n->changed);
	n->pause_ms = volume_about(settings->rotation_poll_ms);
	n->by_itself.enabled = settings->auto_rotate;
	v->newest = n;
	newest_note_protector(n, settings->protector);
	if (!settings->secondary)
		return 0;
	return watched_vault_open(&n->watch, settings->secondary, settings, &clock_kernel,
				  &n->second, reterr);
}

int newest_start(struct newest *n)
{
	int r = n ? -pthread_create(&n->thread, NULL, poll_newest, n) : 0;

	if (n)
		n->started = r == 0;
	return r;
}

void newest_end(struct newest *n)
{
	if (!n)
		return;
	LOCK_SCOPE(&n->lock);
	n->ended = true;
	pthread_cond_broadcast(&n->changed);
}

static bool wait_until_done(struct newest *n)
{
	const struct timespec until =
		monotonic_in(2 * (uint64_t)volume_probe_timeout(n->volume) + STOP_GRACE_MS);
	int error = 0;
	LOCK_SCOPE(&n->lock);

	while (!n->done && error == 0)
		error = pthread_cond_timedwait(&n->changed, &n->lock, &until);
	return n->done;
}

bool newest_stop(struct newest *n)
{
	bool done;

	if (!n || !n->started)
		return true;
	done = wait_until_done(n);
	if (done)
		pthread_join(n->thread, NULL);
	else
		pthread_detach(n->thread);
	n->started = false;
	return done;
}

void newest_silence(struct newest *n)
{
	if (!n)
		return;
	watched_vault_end(n->vault);
	watched_vault_end(n->second);
}

void newest_close(struct newest *n)
{
	if (!n)
		return;
	watched_vault_close(n->vault);
	watched_vault_close(n->second);
	volume_key_let_go(n->of);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

void newest_told(struct newest *n, const struct guard *after)
{
	if (!n)
		return;
	LOCK_SCOPE(&n->lock);
	if (after->has_key != n->up)
		pthread_cond_broadcast(&n->changed);
	n->up = after->has_key;
}

void newest_set(struct newest *n, const struct settings *settings)
{
	if (!n)
		return;
	LOCK_SCOPE(&n->lock);
	n->pause_ms = volume_about(settings->rotation_poll_ms);
	if (n->by_itself.enabled != settings->auto_rotate) {
		auto_forget(&n->by_itself);
		n->asked = false;
	}
	n->by_itself.enabled = settings->auto_rotate;
	pthread_cond_broadcast(&n->changed);
}

void newest_note_protector(struct newest *n, const char *protector)
{
	struct auto_rotation *a;

	if (!n)
		return;
	a = &n->by_itself;
	LOCK_SCOPE(&n->lock);
	if (strcmp(a->protector, protector) == 0)
		return;
	(void)snprintf(a->protector, sizeof(a->protector), "%s", protector);
	a->due_ms = 0; /* what was left alone may be named now */
	n->asked = false;
	pthread_cond_broadcast(&n->changed);
}

void newest_look_again(struct newest *n)
{
	if (!n)
		return;
	LOCK_SCOPE(&n->lock);
	n->view = (struct newest_view){ 0 };
	auto_forget(&n->by_itself);
	n->asked = false;
	pthread_cond_broadcast(&n->changed);
}

void volume_newest_view(const struct volume *v, struct newest_view *ret_view)
{
	LOCK_SCOPE(&v->newest->lock);
	*ret_view = v->newest->view;
}
