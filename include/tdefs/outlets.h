/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where events go beside the log: a command that is run for each (`on_event`),
 * and an HTTPS receiver (`webhook_file`). Each has a thread of its own and a
 * bounded queue: handing an event over never waits, and when a queue is full
 * AUDIT_MINOR events are dropped before AUDIT_MAJOR ones, the oldest first.
 *
 * Start: hook_open() and webhook_open(), hook_send and webhook_send as sinks of
 * audit_open(). End: audit_close(), then hook_close() and webhook_close(), or only
 * _stop() when the sinks may still be called. _open, _replace, _stop and _close:
 * one thread at a time.
 */
#ifndef TDEFS_OUTLETS_H
#define TDEFS_OUTLETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/audit.h"
#include "tdefs/errmsg.h"

#define OUTLET_ERROR_MAX 640

struct outlet_view {
	bool on;
	bool lost;	   /* the hook's helper has ended; no command runs until the next mount */
	uint64_t sent;	   /* the command exited with 0; the receiver answered 2xx */
	uint64_t failed;   /* given up */
	uint64_t retried;  /* attempts that failed, and were not the last */
	uint64_t dropped;  /* had no room in the queue, or no helper */
	size_t waiting;	   /* what is being delivered included */
	uint64_t sent_at;  /* seconds since 1970; 0: never */
	uint64_t error_at; /* of `error` */
	char error[OUTLET_ERROR_MAX]; /* the last failure, if no success came after it; else "" */
};

struct hook;

struct hook_options {
	const char *volume;
	const char *command; /* NULL: none */
	int link;	     /* of the helper (hook_link.h), taken over in any case; -1: none */
};

/* After capabilities are dropped, since it starts a thread. */
int hook_open(const struct hook_options *o, struct hook **ret_hook,
	      struct errmsg *reterr) WARN_UNUSED;

/*
 * Another command from the next event on, or NULL for none. -EOPNOTSUPP when the
 * volume was mounted without: a helper starts with the mount only.
 */
int hook_replace(struct hook *h, const char *command, struct errmsg *reterr) WARN_UNUSED;

/*
 * Who is told, once, that the helper has ended (at once, if it has); NULL: nobody
 * any more. `lost` is called under a lock, on the hook's thread: it must not wait.
 */
void hook_watch(struct hook *h, void (*lost)(void *arg), void *arg);

void hook_send(void *hook, enum audit_weight weight, const char *event, const char *line,
	       size_t len);
void hook_view(struct hook *h, struct outlet_view *ret_view); /* NULL: all zero */
void hook_stop(struct hook *h);	 /* gives what waits a few seconds; accepts NULL */
void hook_close(struct hook *h); /* stops; accepts NULL */

/* What `on_event` must be, as far as can be told here: the path of a program. */
int hook_check_command(const char *command, struct errmsg *reterr) WARN_UNUSED;

struct webhook;

struct webhook_options {
	const char *volume;
	const char *file;    /* webhook_file; NULL: none */
	const char *ca_file; /* NULL: the system's roots */
};

/* After net_init(). Without a file it is off until webhook_replace(). */
int webhook_open(const struct webhook_options *o, struct webhook **ret_webhook,
		 struct errmsg *reterr) WARN_UNUSED;

/*
 * Read the files again, or others: what waits goes to the new receiver. On
 * failure all stays as it was. Without a file: off, and what waits is dropped.
 */
int webhook_replace(struct webhook *w, const struct webhook_options *o,
		    struct errmsg *reterr) WARN_UNUSED;

void webhook_send(void *webhook, enum audit_weight weight, const char *event, const char *line,
		  size_t len);
void webhook_view(struct webhook *w, struct outlet_view *ret_view); /* NULL: all zero */
void webhook_stop(struct webhook *w);				    /* as hook_stop() */
void webhook_close(struct webhook *w);				    /* stops; accepts NULL */

#endif
