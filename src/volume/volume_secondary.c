/* SPDX-License-Identifier: Apache-2.0 */
/* The second vault's life, and questions to it that cannot hang whoever asks. */
#include "volume_secondary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/log.h"
#include "tdefs/secondary.h"
#include "tdefs/threads.h"

#define STOP_GRACE_MS 2000u /* after the time that a question may take */

/* Owned by its thread until it is done; then by whoever waits, if anybody does. */
struct question {
	struct secondary *s;
	enum secondary_asker asker;
	bool unlock;
	/* Under the secondary's lock. */
	bool done, abandoned;

	struct vault_report report;
	struct secret *dek;
};

static void question_free(struct question *q)
{
	secret_free(q->dek);
	free(q);
}

static unsigned probe_timeout(const struct secondary *s)
{
	return volume_probe_timeout(s->volume);
}

/* The kid of the slot's key there, which is looked for once. */
static enum vault_verdict find_key(struct secondary *s, const struct key_slot *slot,
				   char ret_kid[static KID_MAX + 1], struct vault_report *rep)
{
	char kid[KID_MAX + 1];

	{
		LOCK_SCOPE(&s->lock);
		if (s->found && memcmp(s->found_for, slot->thumbprint, THUMBPRINT_LEN) == 0) {
			memcpy(ret_kid, s->view.kid, sizeof(s->view.kid));
			return VAULT_GRANTED;
		}
	}
	if (secondary_find(watched_vault_of(s->vault), s->volume->vc->settings.secondary, slot,
			   s->volume->vc->name, &clock_kernel, probe_timeout(s), kid,
			   rep) != VAULT_GRANTED)
		return rep->verdict;
	memcpy(ret_kid, kid, sizeof(kid));
	LOCK_SCOPE(&s->lock);
	memcpy(s->view.kid, kid, sizeof(kid));
	memcpy(s->found_for, slot->thumbprint, THUMBPRINT_LEN);
	s->found = true;
	return VAULT_GRANTED;
}

static void answer(struct question *q)
{
	struct secondary *s = q->s;
	const struct volume *v = s->volume;
	const uint64_t until_ms = clock_kernel.boot_ms() + probe_timeout(s);
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);
	struct vault *vault = watched_vault_of(s->vault);
	char kid[KID_MAX + 1];
	uint64_t now;

	if (find_key(s, volume_key_slot(key), kid, &q->report) != VAULT_GRANTED)
		return;
	now = clock_kernel.boot_ms();
	if (q->unlock)
		secondary_unlock(vault, kid, &key->header, v->vc->name, probe_timeout(s), &q->dek,
				 &q->report);
	else
		secondary_probe(vault, kid, volume_key_slot(key), v->vc->name, &clock_kernel,
				now < until_ms ? (unsigned)(until_ms - now) : 1, &q->report);
}

/* Under the lock: what the vault said, for people; and what to look for again. */
static void note(struct secondary *s, const struct vault_report *rep)
{
	s->view.report = *rep;
	s->view.report_at = clock_kernel.now();
	s->view.answered = true;
	if (rep->verdict == VAULT_DENIED || rep->verdict == VAULT_BROKEN)
		s->found = false;
	if (s->view.ha_broken && rep->verdict == VAULT_GRANTED)
		s->due_ms = 0;
}

static void *ask_in_thread(void *arg)
{
	struct question *q = arg;
	struct secondary *s = q->s;
	bool abandoned;

	if (q->asker == ASKER_GUARD && !q->unlock)
		watched_vault_probing(s->vault);
	answer(q);
	if (q->asker == ASKER_GUARD && !q->unlock)
		watched_vault_probed(s->vault);
	{
		LOCK_SCOPE(&s->lock);
		note(s, &q->report);
		abandoned = q->abandoned;
		q->done = true;
		s->busy[q->asker] = false;
		pthread_cond_broadcast(&s->changed);
	}
	if (abandoned)
		question_free(q);
	return NULL;
}

static enum vault_verdict not_asked(struct vault_report *rep, int error, const char *why)
{
	*rep = (struct vault_report){ .verdict = VAULT_UNREACHABLE };
	errmsg_next(&rep->error, "look at the secondary vault and at the way to it");
	IGNORE_RESULT(errmsg_fail(&rep->error, error, EXIT_CODE_FAILED, "%s", why), "told so");
	return rep->verdict;
}

/* Under the lock; true: its answer is there. */
static bool wait_for(struct secondary *s, const struct question *q, uint64_t wait_ms)
{
	const struct timespec until = monotonic_in(wait_ms);
	int error = 0;

	while (!q->done && !s->ended && error == 0)
		error = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	return q->done;
}

enum vault_verdict secondary_ask(struct secondary *s, enum secondary_asker asker, uint64_t wait_ms,
				 struct secret **ret_dek, struct vault_report *rep)
{
	struct question *q = calloc(1, sizeof(*q));
	enum vault_verdict verdict;
	LOCK_SCOPE(&s->lock);

	if (s->busy[asker] || s->ended || !q) {
		free(q);
		return not_asked(rep, -ETIMEDOUT,
				 "the secondary: a question to it does not come back");
	}
	*q = (struct question){ .s = s, .asker = asker, .unlock = ret_dek };
	s->busy[asker] = true;
	if (thread_start_detached(ask_in_thread, q) < 0) {
		s->busy[asker] = false;
		free(q);
		return not_asked(rep, -EAGAIN, "the secondary: no thread to ask it");
	}
	if (!wait_for(s, q, wait_ms)) {
		q->abandoned = true;
		return not_asked(rep, -ETIMEDOUT, "the secondary does not answer in time");
	}
	*rep = q->report;
	verdict = q->report.verdict;
	if (ret_dek && verdict == VAULT_GRANTED)
		*ret_dek = TAKE_PTR(q->dek);
	question_free(q);
	return verdict;
}

int secondary_open(struct volume *v, struct errmsg *reterr)
{
	const char *kid = v->vc->settings.secondary;
	struct secondary *s = kid ? calloc(1, sizeof(*s)) : NULL;
	int r;

	if (!kid)
		return 0;
	if (!s)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	s->volume = v;
	s->watch = v->watch;
	s->watch.by = "secondary";
	pthread_mutex_init(&s->lock, NULL);
	cond_init_monotonic(&s->changed);
	v->secondary = s;
	r = watched_vault_open(&s->watch, kid, &v->vc->settings, &clock_kernel, &s->vault, reterr);
	return r;
}

int secondary_start(struct secondary *s)
{
	int r = s ? -pthread_create(&s->prover, NULL, secondary_prove_daily, s) : 0;

	if (s)
		s->started = r == 0;
	return r;
}

void secondary_end(struct secondary *s)
{
	if (!s)
		return;
	LOCK_SCOPE(&s->lock);
	s->ended = true;
	pthread_cond_broadcast(&s->changed);
}

bool secondary_stop(struct secondary *s)
{
	struct timespec until;
	int error = 0;

	if (!s)
		return true;
	if (s->started)
		pthread_join(s->prover, NULL);
	s->started = false;
	until = monotonic_in(3 * (uint64_t)probe_timeout(s) + STOP_GRACE_MS);
	LOCK_SCOPE(&s->lock);
	while ((s->busy[ASKER_GUARD] || s->busy[ASKER_PROVER]) && error == 0)
		error = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	return error == 0;
}

void secondary_silence(struct secondary *s)
{
	if (s)
		watched_vault_end(s->vault);
}

void secondary_close(struct secondary *s)
{
	if (!s)
		return;
	watched_vault_close(s->vault);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void secondary_wait(struct secondary *s, uint64_t wait_ms)
{
	const struct timespec until = monotonic_in(wait_ms);

	IGNORE_RESULT(pthread_cond_timedwait(&s->changed, &s->lock, &until), "a look either way");
}

void secondary_told(struct secondary *s, const struct guard *after)
{
	if (!s)
		return;
	LOCK_SCOPE(&s->lock);
	if (after->has_key != s->up)
		pthread_cond_broadcast(&s->changed);
	s->up = after->has_key;
	s->serves = after->secondary_serves;
}

void secondary_look_again(struct secondary *s)
{
	if (!s)
		return;
	LOCK_SCOPE(&s->lock);
	s->due_ms = 0;
	s->another_key = true;
	pthread_cond_broadcast(&s->changed);
}

bool volume_secondary_view(const struct volume *v, struct secondary_view *ret_view)
{
	struct secondary *s = v->secondary;

	if (!s)
		return false;
	LOCK_SCOPE(&s->lock);
	*ret_view = s->view;
	return true;
}
