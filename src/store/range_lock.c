/* SPDX-License-Identifier: Apache-2.0 */
/* First come, first served locks on ranges of sectors. */
#include "tdefs/range_lock.h"

#include "tdefs/cleanup.h"

void range_lock_init(struct range_lock *rl)
{
	*rl = (struct range_lock){ 0 };
	pthread_mutex_init(&rl->lock, NULL);
	pthread_cond_init(&rl->released, NULL);
}

void range_lock_destroy(struct range_lock *rl)
{
	pthread_mutex_destroy(&rl->lock);
	pthread_cond_destroy(&rl->released);
}

static bool must_wait(const struct range *r)
{
	for (const struct range *o = r->prev; o; o = o->prev)
		if (o->first <= r->last && r->first <= o->last && (o->exclusive || r->exclusive))
			return true;
	return false;
}

static void append(struct range_lock *rl, struct range *r)
{
	r->prev = rl->newest;
	r->next = NULL;
	if (rl->newest)
		rl->newest->next = r;
	else
		rl->oldest = r;
	rl->newest = r;
}

static void acquire(struct range_lock *rl, struct range *r)
{
	LOCK_SCOPE(&rl->lock);

	append(rl, r);
	rl->waiters++;
	while (must_wait(r))
		pthread_cond_wait(&rl->released, &rl->lock);
	rl->waiters--;
}

void range_lock_shared(struct range_lock *rl, struct range *r, uint64_t first, uint64_t last)
{
	*r = (struct range){ .first = first, .last = last };
	acquire(rl, r);
}

void range_lock_exclusive(struct range_lock *rl, struct range *r, uint64_t first, uint64_t last)
{
	*r = (struct range){ .first = first, .last = last, .exclusive = true };
	acquire(rl, r);
}

void range_unlock(struct range_lock *rl, struct range *r)
{
	LOCK_SCOPE(&rl->lock);

	if (r->prev)
		r->prev->next = r->next;
	else
		rl->oldest = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		rl->newest = r->prev;
	if (rl->waiters)
		pthread_cond_broadcast(&rl->released);
}
