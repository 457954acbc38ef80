/* SPDX-License-Identifier: Apache-2.0 */
/* One vault, open, and everybody who is told of each call to it. */
#include "tdefs/volume_vault.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "key_log.h"

struct watched_vault {
	const struct vault_watch *watch;
	struct vault *vault; /* observed */
	struct key_log key_log;

	pthread_mutex_t lock; /* guards what follows; innermost, held for no call */
	bool probing;	      /* `prober` asks in order to probe */
	pthread_t prober;
};

static bool is_probe(struct watched_vault *w)
{
	LOCK_SCOPE(&w->lock);
	return w->probing && pthread_equal(w->prober, pthread_self());
}

/* On the thread that made the call, after it. Everybody who keeps account of it is told here. */
static void observe(void *arg, const struct vault_call *call)
{
	struct watched_vault *w = arg;

	key_log_call(&w->key_log, call, is_probe(w));
	if (w->watch->counts)
		vault_counts_add(w->watch->counts, call);
}

int watched_vault_open(const struct vault_watch *watch, const char *kid,
		       const struct settings *settings, const struct clock *clock,
		       struct watched_vault **ret_vault, struct errmsg *reterr)
{
	struct watched_vault *w = calloc(1, sizeof(*w));
	struct vault *vault = NULL;
	int r;

	if (!w)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "%s: out of memory", kid);
	w->watch = watch;
	pthread_mutex_init(&w->lock, NULL);
	key_log_init(&w->key_log, watch->audit, watch->by, clock);
	if (watch->probe_by)
		w->key_log.probe_by = watch->probe_by;
	r = vault_open(kid, settings, clock, &vault, reterr);
	if (r == 0 && vault_observe(vault, observe, w, &w->vault) < 0)
		r = errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "%s: out of memory", kid);
	if (r < 0) {
		watched_vault_close(w);
		return r;
	}
	*ret_vault = w;
	return 0;
}

void watched_vault_close(struct watched_vault *w)
{
	if (!w)
		return;
	vault_close(w->vault);
	key_log_release(&w->key_log);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void watched_vault_end(struct watched_vault *w)
{
	if (w)
		key_log_end(&w->key_log);
}

struct vault *watched_vault_of(const struct watched_vault *w)
{
	return w->vault;
}

void watched_vault_probing(struct watched_vault *w)
{
	LOCK_SCOPE(&w->lock);
	w->prober = pthread_self();
	w->probing = true;
}

void watched_vault_probed(struct watched_vault *w)
{
	LOCK_SCOPE(&w->lock);
	w->probing = false;
}
