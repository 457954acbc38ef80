/* SPDX-License-Identifier: Apache-2.0 */
/* The webhook: one event after the other, each again until it is taken or given up. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "outlet.h"
#include "tdefs/clock.h"
#include "tdefs/net.h"
#include "webhook_target.h"

#define CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS	   10000
#define ANSWER_MAX	   65536
#define BACKOFF_LEAST_MS   1000
#define BACKOFF_MOST_MS	   60000

/* When an event is given up: never answered; answered by a 5xx; refused, so many times. */
#define UNANSWERED_MS (UINT64_C(24) * 3600 * 1000)
#define TROUBLED_MS   (UINT64_C(3600) * 1000)
#define REFUSALS_MAX  3

struct webhook {
	struct outlet outlet;
	struct net *net;	       /* the thread's, as all up to `next_lock` */
	struct webhook_target *target; /* NULL: off */
	uint64_t backoff_ms;
	pthread_mutex_t next_lock; /* guards the two below; taken alone */
	struct webhook_target *next;
	bool has_next;
};

enum outcome { TAKEN, UNANSWERED, TROUBLED, REFUSED };

static void take_next_target(struct webhook *w)
{
	LOCK_SCOPE(&w->next_lock);

	if (!w->has_next)
		return;
	webhook_target_free(w->target);
	w->target = TAKE_PTR(w->next);
	w->has_next = false;
	w->backoff_ms = BACKOFF_LEAST_MS;
}

static void set_next_target(struct webhook *w, struct webhook_target *t)
{
	LOCK_SCOPE(&w->next_lock);

	webhook_target_free(w->next);
	w->next = t;
	w->has_next = true;
}

static enum outcome outcome_of(const struct net_answer *a)
{
	if (a->failure != NET_ANSWERED)
		return a->failure == NET_TOO_LARGE ? TROUBLED : UNANSWERED;
	if (a->status / 100 == 2)
		return TAKEN;
	return a->status >= 500 || a->status == 408 || a->status == 425 || a->status == 429
		       ? TROUBLED
		       : REFUSED;
}

/* What came back, for people. A redirect is not followed: it could lead anywhere. */
static void describe(const struct webhook *w, const struct net_answer *a, char *out, size_t len)
{
	if (a->failure == NET_ANSWERED)
		(void)snprintf(out, len, "%s: HTTP status %d%s", w->target->host, a->status,
			       a->status / 100 == 3 ? ", a redirect, which is not followed" : "");
	else
		(void)snprintf(out, len, "%s: %s: %s", w->target->host,
			       net_failure_text(a->failure), a->reason);
}

static enum outcome post(struct webhook *w, const struct event *e, char *error, size_t len)
{
	CLEANUP_SECRET struct secret *body = secret_new(e->len);
	char signature[WEBHOOK_SIGNATURE_LEN];
	struct net_request r = { .method = "POST",
				 .secret_url = w->target->url,
				 .content_type = "application/json",
				 .body = body,
				 .ca_file = w->target->ca_file,
				 .connect_timeout_ms = CONNECT_TIMEOUT_MS,
				 .timeout_ms = TIMEOUT_MS,
				 .answer_max = ANSWER_MAX,
				 .cancelled = outlet_is_over,
				 .cancelled_arg = &w->outlet };
	struct net_answer a;
	enum outcome outcome;

	if (!body || (w->target->key && webhook_signature(w->target->key, clock_kernel.now(),
							  e->line, e->len, signature) < 0)) {
		(void)snprintf(error, len, "out of memory");
		return UNANSWERED;
	}
	memcpy(secret_bytes(body), e->line, e->len);
	if (w->target->key)
		r.headers[0] = (struct net_header){ "X-Tdefs-Signature", signature };
	net_perform(w->net, &r, &a);
	outcome = outcome_of(&a);
	describe(w, &a, error, len);
	net_answer_release(&a);
	return outcome;
}

/* What has been tried with one event. */
struct tries {
	uint64_t since_ms;
	unsigned refusals;
};

static bool is_last(struct webhook *w, struct tries *t, enum outcome outcome)
{
	uint64_t age_ms = clock_kernel.boot_ms() - t->since_ms;

	t->refusals += outcome == REFUSED;
	return outlet_is_stopping(&w->outlet) || t->refusals >= REFUSALS_MAX ||
	       age_ms >= (outcome == UNANSWERED ? UNANSWERED_MS : TROUBLED_MS);
}

static void back_off(struct webhook *w)
{
	uint64_t wait_ms = w->backoff_ms;

	w->backoff_ms = wait_ms * 2 < BACKOFF_MOST_MS ? wait_ms * 2 : BACKOFF_MOST_MS;
	outlet_wait(&w->outlet, -1, wait_ms);
}

/* False: it was given up at the end, and what waits is to be, too. */
static bool deliver(struct webhook *w, const struct event *e)
{
	struct tries tries = { .since_ms = clock_kernel.boot_ms() };
	char error[OUTLET_ERROR_MAX];
	enum outcome outcome;
	bool last = false;

	while (!last) {
		take_next_target(w);
		if (!w->target)
			return true;
		outcome = post(w, e, error, sizeof(error));
		if (outcome == TAKEN) {
			w->backoff_ms = BACKOFF_LEAST_MS;
			outlet_sent(&w->outlet);
			return true;
		}
		last = is_last(w, &tries, outcome);
		outlet_trouble(&w->outlet, last, "%s", error);
		if (!last)
			back_off(w);
	}
	return !outlet_is_stopping(&w->outlet);
}

static void *run(void *arg)
{
	struct webhook *w = arg;
	bool going_on = true;

	while (going_on) {
		CLEANUP_FREE struct event *e = outlet_next(&w->outlet, -1);

		going_on = e && deliver(w, e);
	}
	return NULL;
}

static int start(struct webhook *w, struct errmsg *reterr)
{
	int r = 0;

	if (w->outlet.started)
		return 0;
	if (!w->net)
		w->net = net_new();
	r = w->net ? outlet_start(&w->outlet, run, w) : -ENOMEM;
	if (r == 0)
		return 0;
	errmsg_next(reterr, "free memory or raise the limit of threads, then try again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot start the webhook: %s",
			   errno_text(r));
}

int webhook_replace(struct webhook *w, const struct webhook_options *o, struct errmsg *reterr)
{
	struct webhook_target *t = NULL;
	int r = o->file ? webhook_target_read(o->file, o->ca_file, &t, reterr) : 0;

	if (r == 0 && t)
		r = start(w, reterr);
	if (r < 0) {
		webhook_target_free(t);
		return r;
	}
	set_next_target(w, t);
	outlet_turn(&w->outlet, t);
	outlet_kick(&w->outlet);
	return 0;
}

int webhook_open(const struct webhook_options *o, struct webhook **ret_webhook,
		 struct errmsg *reterr)
{
	struct webhook *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	w->next_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	w->backoff_ms = BACKOFF_LEAST_MS;
	r = outlet_init(&w->outlet, "webhook", o->volume);
	if (r < 0)
		r = errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot start the webhook: %s",
				errno_text(r));
	else
		r = webhook_replace(w, o, reterr);
	if (r < 0) {
		webhook_close(w);
		return r;
	}
	*ret_webhook = w;
	return 0;
}

void webhook_send(void *webhook, enum audit_weight weight, const char *event, const char *line,
		  size_t len)
{
	struct webhook *w = webhook;

	outlet_push(&w->outlet, audit_rank_of(weight, event), line, len);
}

void webhook_view(struct webhook *w, struct outlet_view *ret_view)
{
	*ret_view = (struct outlet_view){ 0 };
	if (w)
		outlet_view(&w->outlet, ret_view);
}

void webhook_stop(struct webhook *w)
{
	if (w)
		outlet_stop(&w->outlet);
}

void webhook_close(struct webhook *w)
{
	if (!w)
		return;
	outlet_stop(&w->outlet);
	outlet_release(&w->outlet);
	net_free(w->net);
	webhook_target_free(w->target);
	webhook_target_free(w->next);
	free(w);
}
