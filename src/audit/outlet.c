/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. What a delivery is, the hook and the webhook know. */
#include "outlet.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tdefs/clock.h"
#include "tdefs/log.h"

#define FLUSH_MS     5000
#define LOG_AGAIN_MS 600000

int outlet_init(struct outlet *o, const char *kind, const char *volume)
{
	*o = (struct outlet){ .kind = kind, .lock = PTHREAD_MUTEX_INITIALIZER };
	o->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->wake_fd < 0)
		return -errno;
	o->volume = strdup(volume);
	return o->volume ? 0 : -ENOMEM;
}

int outlet_start(struct outlet *o, void *(*run)(void *), void *arg)
{
	int r = -pthread_create(&o->thread, NULL, run, arg);

	o->started = r == 0;
	return r;
}

static void wake(const struct outlet *o)
{
	const uint64_t one = 1;

	IGNORE_RESULT(write(o->wake_fd, &one, sizeof(one)), "an eventfd takes it");
}

void outlet_stop(struct outlet *o)
{
	if (!o->started)
		return;
	pthread_mutex_lock(&o->lock);
	o->stopping = o->kicked = true;
	o->stop_at_ms = clock_kernel.boot_ms() + FLUSH_MS;
	pthread_mutex_unlock(&o->lock);
	wake(o);
	pthread_join(o->thread, NULL);
	o->started = false;
}

void outlet_release(struct outlet *o)
{
	if (o->queue.count > 0)
		log_warning("volume %s: event=%s_failed: %zu events were not delivered in time",
			    o->volume, o->kind, o->queue.count);
	event_queue_clear(&o->queue);
	if (o->wake_fd >= 0)
		close(o->wake_fd);
	free(o->volume);
}

void outlet_turn(struct outlet *o, bool on)
{
	LOCK_SCOPE(&o->lock);
	o->view.on = on;
	if (on)
		return;
	o->queue.dropped += o->queue.count;
	event_queue_clear(&o->queue);
}

void outlet_kick(struct outlet *o)
{
	pthread_mutex_lock(&o->lock);
	o->kicked = true;
	pthread_mutex_unlock(&o->lock);
	wake(o);
}

void outlet_push(struct outlet *o, enum audit_rank rank, const char *line, size_t len)
{
	while (len > 0 && line[len - 1] == '\n')
		len--;
	pthread_mutex_lock(&o->lock);
	if (o->view.on && !o->view.lost)
		event_queue_push(&o->queue, rank, line, len);
	else
		o->queue.dropped += o->view.on;
	pthread_mutex_unlock(&o->lock);
	wake(o);
}

void outlet_view(struct outlet *o, struct outlet_view *ret_view)
{
	LOCK_SCOPE(&o->lock);
	*ret_view = o->view;
	ret_view->dropped = o->queue.dropped;
	ret_view->waiting = o->queue.count + o->busy;
}

bool outlet_is_stopping(struct outlet *o)
{
	LOCK_SCOPE(&o->lock);
	return o->stopping;
}

bool outlet_is_over(void *outlet)
{
	struct outlet *o = outlet;
	LOCK_SCOPE(&o->lock);

	return o->stopping && clock_kernel.boot_ms() >= o->stop_at_ms;
}

/* True: nothing more to wait for. *ret_event: what is to be delivered, or NULL at the end. */
static bool take_next(struct outlet *o, struct event **ret_event)
{
	LOCK_SCOPE(&o->lock);
	o->busy = false;
	*ret_event = NULL;
	if (o->stopping && clock_kernel.boot_ms() >= o->stop_at_ms)
		return true;
	*ret_event = event_queue_pop(&o->queue);
	o->busy = *ret_event;
	return *ret_event || o->stopping;
}

static short wait_for(const struct outlet *o, int fd, int wait_ms)
{
	struct pollfd fds[] = { { .fd = o->wake_fd, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };
	uint64_t count;

	if (poll(fds, ARRAY_SIZE(fds), wait_ms) <= 0)
		return 0;
	if (fds[0].revents)
		IGNORE_RESULT(read(o->wake_fd, &count, sizeof(count)), "whoever waits looks");
	return fds[1].revents;
}

struct event *outlet_next(struct outlet *o, int fd)
{
	struct event *e;

	while (!take_next(o, &e))
		if (wait_for(o, fd, -1))
			return NULL;
	return e;
}

/* Milliseconds that may still be waited until `until_ms`; 0: no longer. */
static uint64_t left_ms(struct outlet *o, uint64_t until_ms)
{
	uint64_t now_ms = clock_kernel.boot_ms();
	LOCK_SCOPE(&o->lock);

	if (o->kicked) {
		o->kicked = false;
		return 0;
	}
	if (o->stopping && o->stop_at_ms < until_ms)
		until_ms = o->stop_at_ms;
	return until_ms > now_ms ? until_ms - now_ms : 0;
}

short outlet_wait(struct outlet *o, int fd, uint64_t wait_ms)
{
	uint64_t until_ms = clock_kernel.boot_ms() + wait_ms, ms;
	short revents = 0;

	while (!revents && (ms = left_ms(o, until_ms)) > 0)
		revents = wait_for(o, fd, (int)ms);
	return revents;
}

void outlet_sent(struct outlet *o)
{
	bool failed_before;

	pthread_mutex_lock(&o->lock);
	failed_before = o->view.error[0];
	o->view.error[0] = '\0';
	o->view.sent++;
	o->view.sent_at = clock_kernel.now();
	pthread_mutex_unlock(&o->lock);
	if (failed_before)
		log_info("volume %s: event=%s_works", o->volume, o->kind);
}

void outlet_trouble(struct outlet *o, bool last, const char *fmt, ...)
{
	uint64_t now_ms = clock_kernel.boot_ms(), failed;
	char error[OUTLET_ERROR_MAX];
	bool say;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(error, sizeof(error), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&o->lock);
	say = !o->view.error[0] || now_ms >= o->logged_at_ms + LOG_AGAIN_MS;
	if (say)
		o->logged_at_ms = now_ms;
	memcpy(o->view.error, error, sizeof(error));
	o->view.error_at = clock_kernel.now();
	failed = o->view.failed += last;
	o->view.retried += !last;
	pthread_mutex_unlock(&o->lock);
	if (say)
		log_warning("volume %s: event=%s_failed: %s (%llu events given up)", o->volume,
			    o->kind, error, (unsigned long long)failed);
}

void outlet_lost(struct outlet *o, const char *error)
{
	LOCK_SCOPE(&o->lock);
	o->view.lost = true;
	o->view.error_at = clock_kernel.now();
	(void)snprintf(o->view.error, sizeof(o->view.error), "%s", error);
	o->queue.dropped += o->queue.count + o->busy;
	o->busy = false;
	event_queue_clear(&o->queue);
}
