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

struct newest {
	struct volume *volume;
	struct vault_watch watch;
	struct watched_vault *vault;
	char kid[KID_MAX + 1]; /* of the protector's key, without a version */
	pthread_t thread;
	bool started;

	/* Guards what follows; innermost, held for no call. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended;		/* nobody wants to know any more */
	bool done;		/* its thread asks nobody any more */
	bool up;		/* the DEK is in memory: only then it could be wrapped anew */
	bool asked;		/* at `asked_ms`, by the boot clock */
	uint64_t asked_ms;	/* the next time is `pause_ms` later */
	uint64_t pause_ms;	/* 0: never */
	char told[KID_MAX + 1]; /* the newer version that was told of last */
	struct newest_view view;
};

/* True: its time has come. Under the lock; else `ret_wait_ms` is how long it takes at most. */
static bool is_due(const struct newest *n, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	const uint64_t due_ms = n->asked ? n->asked_ms + n->pause_ms : now_ms;
	const bool asks = n->up && n->pause_ms > 0;

	if (asks && now_ms >= due_ms)
		return true;
	*ret_wait_ms = asks && due_ms - now_ms < LOOK_MS ? due_ms - now_ms : LOOK_MS;
	return false;
}

/* False: the volume ends. */
static bool wait_until_due(struct newest *n)
{
	LOCK_SCOPE(&n->lock);

	while (!n->ended) {
		const uint64_t now_ms = clock_kernel.boot_ms();
		struct timespec until;
		uint64_t wait_ms;

		if (is_due(n, now_ms, &wait_ms)) {
			n->asked = true;
			n->asked_ms = now_ms;
			return true;
		}
		until = monotonic_in(wait_ms);
		IGNORE_RESULT(pthread_cond_timedwait(&n->changed, &n->lock, &until),
			      "a look either way");
	}
	return false;
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

static void found(struct newest *n, const struct vault_key *key)
{
	const struct volume *v = n->volume;
	CLEANUP_VOLUME_KEY struct volume_key *in_force = key_box_hold(v->key);
	const char *in_use = volume_key_slot(in_force)->kid;
	const bool newer = protector_covers(n->kid, in_use) && is_another(key->kid, in_use) &&
			   is_usable(key, clock_kernel.now());
	bool was_unknown, is_news;

	{
		LOCK_SCOPE(&n->lock);
		was_unknown = n->view.unknown;
		is_news = newer && strcmp(n->told, key->kid) != 0;
		n->view = (struct newest_view){ .newer = newer };
		if (newer) {
			memcpy(n->view.kid, key->kid, sizeof(n->view.kid));
			memcpy(n->view.thumbprint, key->thumbprint, THUMBPRINT_LEN);
			n->view.created = key->created;
			memcpy(n->told, key->kid, sizeof(n->told));
		}
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

/* A rotation may have taken another key since, which has a newest of its own. */
static bool is_of_key(const struct newest *n)
{
	CLEANUP_VOLUME_KEY struct volume_key *in_force = key_box_hold(n->volume->key);

	return protector_covers(n->kid, volume_key_slot(in_force)->kid);
}

static void ask(struct newest *n)
{
	struct vault *vault = watched_vault_of(n->vault);
	struct vault_report rep = { 0 };
	struct vault_key key = { 0 };

	watched_vault_probing(n->vault);
	vault->ops->get(vault, n->kid, volume_probe_timeout(n->volume), &key, &rep);
	watched_vault_probed(n->vault);
	if (rep.verdict == VAULT_GRANTED)
		found(n, &key);
	else
		failed(n, &rep);
}

static void *poll_newest(void *arg)
{
	struct newest *n = arg;

	while (wait_until_due(n))
		if (is_of_key(n))
			ask(n);
	LOCK_SCOPE(&n->lock);
	n->done = true;
	pthread_cond_broadcast(&n->changed);
	return NULL;
}

int newest_open(struct volume *v, struct errmsg *reterr)
{
	const struct settings *settings = &v->vc->settings;
	char vault[KID_VAULT_MAX];
	struct newest *n;
	struct kid kid;

	if (kid_parse(settings->protector, &kid) < 0)
		return 0;
	n = calloc(1, sizeof(*n));
	if (!n)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	n->volume = v;
	n->watch = v->watch;
	n->watch.by = n->watch.probe_by = "rotation_poll";
	(void)snprintf(n->kid, sizeof(n->kid), "%s/keys/%s", kid_vault(&kid, vault), kid.name);
	pthread_mutex_init(&n->lock, NULL);
	cond_init_monotonic(&n->changed);
	n->pause_ms = volume_about(settings->rotation_poll_ms);
	v->newest = n;
	return watched_vault_open(&n->watch, n->kid, settings, &clock_kernel, &n->vault, reterr);
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
		monotonic_in((uint64_t)volume_probe_timeout(n->volume) + STOP_GRACE_MS);
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
	if (n)
		watched_vault_end(n->vault);
}

void newest_close(struct newest *n)
{
	if (!n)
		return;
	watched_vault_close(n->vault);
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

void newest_set_interval(struct newest *n, uint64_t every_ms)
{
	if (!n)
		return;
	LOCK_SCOPE(&n->lock);
	n->pause_ms = volume_about(every_ms);
	pthread_cond_broadcast(&n->changed);
}

void newest_look_again(struct newest *n)
{
	if (!n)
		return;
	LOCK_SCOPE(&n->lock);
	n->view = (struct newest_view){ 0 };
	n->asked = false;
	pthread_cond_broadcast(&n->changed);
}

bool volume_newest_view(const struct volume *v, struct newest_view *ret_view)
{
	struct newest *n = v->newest;

	*ret_view = (struct newest_view){ 0 };
	if (!n)
		return false;
	LOCK_SCOPE(&n->lock);
	*ret_view = n->view;
	return true;
}
