/* SPDX-License-Identifier: Apache-2.0 */
/* Recording: who gets a place in the bounded queue, and who gives way. */
#include <string.h>
#include <time.h>

#include "recorder.h"

#define MINOR_REFILL_MS 10000 /* one more in that time */

uint64_t audit_monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void audit_entry_free(struct entry *e)
{
	if (e)
		free(e->members);
	free(e);
}

enum audit_rank audit_rank_of(enum audit_weight weight, const char *event)
{
	if (weight == AUDIT_MINOR)
		return AUDIT_RANK_MINOR;
	return strncmp(event, "key_", 4) == 0 ? AUDIT_RANK_KEY : AUDIT_RANK_STATE;
}

static enum audit_rank rank_of(const struct entry *e)
{
	return audit_rank_of(e->weight, e->event);
}

static void queue_push(struct queue *q, struct entry *e)
{
	e->next = NULL;
	*q->end = e;
	q->end = &e->next;
	q->n++;
	q->of_rank[rank_of(e)]++;
}

static struct entry *queue_unlink(struct queue *q, struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	if (!*at)
		q->end = at;
	q->n--;
	q->of_rank[rank_of(e)]--;
	return e;
}

struct entry *audit_queue_shift(struct queue *q)
{
	return queue_unlink(q, &q->first);
}

void audit_queue_unshift(struct queue *q, struct entry *e)
{
	e->next = q->first;
	if (!q->first)
		q->end = &e->next;
	q->first = e;
	q->n++;
	q->of_rank[rank_of(e)]++;
}

/* The oldest of those that give way to `rank` first, taken out; NULL: there is none. */
static struct entry *queue_take_lesser(struct queue *q, enum audit_rank rank)
{
	enum audit_rank last = AUDIT_RANK_MINOR;
	struct entry **at = &q->first;

	while (last > rank && q->of_rank[last] == 0)
		last--;
	if (last == rank)
		return NULL;
	while (rank_of(*at) != last)
		at = &(*at)->next;
	return queue_unlink(q, at);
}

static void count_drop(struct audit *a, enum audit_weight weight)
{
	a->dropped[weight]++;
	a->untold_drops[weight]++;
}

static bool minor_is_allowed(struct audit *a)
{
	uint64_t now = audit_monotonic_ms(), more = (now - a->refilled_ms) / MINOR_REFILL_MS;

	a->refilled_ms += more * MINOR_REFILL_MS;
	a->allowance = a->allowance + more < MINOR_BURST ? a->allowance + more : MINOR_BURST;
	if (a->allowance == 0 || a->queue.of_rank[AUDIT_RANK_MINOR] >= AUDIT_QUEUE_MAX / 2)
		return false;
	a->allowance--;
	return true;
}

/* What has to go: `e` itself, an older event of less weight, or nothing. */
static struct entry *enqueue(struct audit *a, struct entry *e)
{
	struct entry *victim = NULL;
	bool full = a->queue.n + a->ntaken >= AUDIT_QUEUE_MAX;

	if (e->weight == AUDIT_MINOR)
		victim = full || !minor_is_allowed(a) ? e : NULL;
	else if (full) {
		victim = queue_take_lesser(&a->queue, rank_of(e));
		if (!victim)
			victim = e;
	}
	if (victim)
		count_drop(a, victim->weight);
	if (victim != e)
		queue_push(&a->queue, e);
	pthread_cond_signal(&a->wake);
	return victim;
}

static struct entry *entry_new(enum audit_weight weight, const char *event, json_t *details)
{
	struct entry *e = calloc(1, sizeof(*e));
	char *members = audit_members(details);

	if (!e || !members) {
		free(e);
		free(members);
		return NULL;
	}
	e->weight = weight;
	e->time_ms = audit_now_ms();
	e->members = members;
	(void)snprintf(e->event, sizeof(e->event), "%s", event);
	return e;
}

void audit_record(struct audit *a, enum audit_weight weight, const char *event, json_t *details)
{
	struct entry *e;

	if (!a) {
		json_decref(details);
		return;
	}
	e = entry_new(weight, event, details);
	{
		LOCK_SCOPE(&a->lock);
		if (e)
			e = enqueue(a, e);
		else
			count_drop(a, weight);
	}
	audit_entry_free(e);
}
