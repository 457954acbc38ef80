/* SPDX-License-Identifier: Apache-2.0 */
/* When the protector expires, as each probe hears it; told of once in good time. */
#include "volume_expiry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/log.h"
#include "volume_event.h"

struct expiry {
	pthread_mutex_t lock;  /* guards what follows; innermost, held for no call */
	char kid[KID_MAX + 1]; /* the key that `expires` is of */
	uint64_t expires;      /* seconds since 1970; 0: it does not */
	char told[KID_MAX + 1];
	uint64_t told_expires; /* what was told of `told` last */
	uint64_t warning_ms;   /* 0: never */
};

struct expiry *expiry_new(uint64_t warning_ms)
{
	struct expiry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	pthread_mutex_init(&e->lock, NULL);
	e->warning_ms = warning_ms;
	return e;
}

void expiry_free(struct expiry *e)
{
	if (!e)
		return;
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void expiry_set_warning(struct expiry *e, uint64_t warning_ms)
{
	LOCK_SCOPE(&e->lock);
	e->warning_ms = warning_ms;
}

bool expiry_is_soon(uint64_t expires, uint64_t warning_ms, uint64_t now)
{
	return expires && warning_ms && (expires <= now || expires - now <= warning_ms / 1000);
}

void expiry_heard(const struct volume *v, const char *kid, uint64_t expires)
{
	struct expiry *e = v->expiry;
	const uint64_t now = clock_kernel.now();
	bool is_news;

	{
		LOCK_SCOPE(&e->lock);
		(void)snprintf(e->kid, sizeof(e->kid), "%s", kid);
		e->expires = expires;
		is_news = expiry_is_soon(expires, e->warning_ms, now) &&
			  (strcmp(e->told, kid) != 0 || e->told_expires != expires);
		if (is_news) {
			memcpy(e->told, e->kid, sizeof(e->told));
			e->told_expires = expires;
		}
	}
	if (!is_news)
		return;
	log_warning("volume %s: event=protector_expires kid=%s expires=%llu: it goes on opening "
		    "the volume, but nothing new can be wrapped with it: make a new version, and "
		    "rotate",
		    v->vc->name, kid, (unsigned long long)expires);
	volume_event_protector_expires(v, kid, expires, expires <= now);
}

void volume_expiry_view(const struct volume *v, struct expiry_view *ret_view)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);
	struct expiry *e = v->expiry;
	LOCK_SCOPE(&e->lock);

	*ret_view = (struct expiry_view){ 0 };
	if (strcmp(e->kid, volume_key_slot(key)->kid) != 0)
		return; /* another key since; the next probe hears of it */
	ret_view->expires = e->expires;
	ret_view->soon = expiry_is_soon(e->expires, e->warning_ms, clock_kernel.now());
}
