/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/freeze.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tdefs/clock.h"
#include "tdefs/secret.h"
#include "tdefs/threads.h"

struct held {
	struct held *next;
	size_t len;
	uint8_t request[];
};

struct freeze {
	_Atomic bool holding;	 /* written under the lock */
	_Atomic unsigned inside; /* requests between freeze_enter() and freeze_leave() */

	pthread_mutex_t lock; /* guards what follows; innermost */
	pthread_cond_t changed;
	enum freeze_end end; /* of the last */
	struct held *oldest, **newest;
	uint64_t count;
	uint64_t behind; /* threads in freeze_wait_behind() */
	uint64_t held;	 /* at the last end */
	size_t bytes;
};

const char *freeze_end_name(enum freeze_end end)
{
	static const char *const names[] = {
		[FREEZE_NOT_ENDED] = "",      [FREEZE_THAWED] = "thaw",
		[FREEZE_TIME] = "time",	      [FREEZE_STATE] = "state",
		[FREEZE_UNMOUNT] = "unmount", [FREEZE_MEMORY] = "memory",
		[FREEZE_FAILED] = "failed",
	};

	return names[end];
}

struct freeze *freeze_new(void)
{
	struct freeze *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	pthread_mutex_init(&f->lock, NULL);
	cond_init_monotonic(&f->changed);
	f->newest = &f->oldest;
	return f;
}

/* It may carry plaintext. */
static void held_free(struct held *h)
{
	secret_wipe(h->request, h->len);
	free(h);
}

static struct held *take_oldest(struct freeze *f)
{
	struct held *h;
	LOCK_SCOPE(&f->lock);

	h = f->oldest;
	if (!h)
		return NULL;
	f->oldest = h->next;
	if (!f->oldest)
		f->newest = &f->oldest;
	f->count--;
	f->bytes -= h->len;
	return h;
}

void freeze_free(struct freeze *f)
{
	struct held *h;

	if (!f)
		return;
	while ((h = take_oldest(f)))
		held_free(h);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Under the lock. */
static void end_now(struct freeze *f, enum freeze_end by)
{
	f->end = by;
	f->held = f->count + f->behind;
	atomic_store(&f->holding, false);
	pthread_cond_broadcast(&f->changed);
}

/* Under the lock. False: there is no room. */
static bool queue(struct freeze *f, const void *request, size_t len)
{
	struct held *h = f->bytes + len <= FREEZE_HELD_MAX ? malloc(sizeof(*h) + len) : NULL;

	if (!h)
		return false;
	h->next = NULL;
	h->len = len;
	memcpy(h->request, request, len);
	*f->newest = h;
	f->newest = &h->next;
	f->count++;
	f->bytes += len;
	return true;
}

/* True: it is queued. */
static bool keep(struct freeze *f, const void *request, size_t len)
{
	LOCK_SCOPE(&f->lock);

	if (!atomic_load(&f->holding))
		return false;
	if (queue(f, request, len))
		return true;
	end_now(f, FREEZE_MEMORY);
	return false;
}

bool freeze_try_enter(struct freeze *f)
{
	/* Counted first: whoever begins to hold and then sees nobody inside has missed none. */
	atomic_fetch_add(&f->inside, 1);
	if (!atomic_load(&f->holding))
		return true;
	freeze_leave(f);
	return false;
}

bool freeze_enter(struct freeze *f, const void *request, size_t len)
{
	if (freeze_try_enter(f))
		return true;
	if (keep(f, request, len))
		return false;
	atomic_fetch_add(&f->inside, 1);
	return true;
}

void freeze_wait_behind(struct freeze *f)
{
	LOCK_SCOPE(&f->lock);

	f->behind++;
	while (atomic_load(&f->holding))
		pthread_cond_wait(&f->changed, &f->lock);
	f->behind--;
}

void freeze_leave(struct freeze *f)
{
	atomic_fetch_sub(&f->inside, 1);
}

void freeze_hold(struct freeze *f)
{
	LOCK_SCOPE(&f->lock);

	f->end = FREEZE_NOT_ENDED;
	atomic_store(&f->holding, true);
}

bool freeze_wait_for_others(struct freeze *f, uint64_t wait_ms)
{
	const uint64_t until_ms = clock_kernel.boot_ms() + wait_ms;

	while (atomic_load(&f->inside) > 0) {
		if (clock_kernel.boot_ms() >= until_ms)
			return false;
		clock_kernel.sleep_ms(1);
	}
	return true;
}

enum freeze_end freeze_wait(struct freeze *f, uint64_t wait_ms)
{
	const struct timespec until = monotonic_in(wait_ms);
	int error = 0;
	LOCK_SCOPE(&f->lock);

	while (atomic_load(&f->holding) && error == 0)
		error = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	if (atomic_load(&f->holding))
		end_now(f, FREEZE_TIME);
	return f->end;
}

int freeze_end(struct freeze *f, enum freeze_end by)
{
	LOCK_SCOPE(&f->lock);

	if (!atomic_load(&f->holding))
		return -EALREADY;
	end_now(f, by);
	return 0;
}

bool freeze_is_held(struct freeze *f)
{
	return atomic_load(&f->holding);
}

enum freeze_end freeze_ended_by(struct freeze *f)
{
	LOCK_SCOPE(&f->lock);
	return f->end;
}

uint64_t freeze_count(struct freeze *f)
{
	LOCK_SCOPE(&f->lock);
	return f->count + f->behind;
}

uint64_t freeze_held(struct freeze *f)
{
	LOCK_SCOPE(&f->lock);
	return f->held;
}

void freeze_serve(struct freeze *f, void (*serve)(void *arg, void *request, size_t len), void *arg)
{
	struct held *h;

	while ((h = take_oldest(f))) {
		serve(arg, h->request, h->len);
		held_free(h);
	}
}
