/* SPDX-License-Identifier: Apache-2.0 */
/* Events that wait, oldest first; bounded in number and bytes. Not thread-safe. */
#ifndef TDEFS_AUDIT_EVENT_QUEUE_H
#define TDEFS_AUDIT_EVENT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "audit_internal.h"
#include "tdefs/cleanup.h"

#define EVENT_QUEUE_MAX	      512
#define EVENT_QUEUE_BYTES_MAX ((size_t)1 << 20)

struct event {
	struct event *next;
	enum audit_rank rank;
	size_t len;
	char line[]; /* without the newline */
};

struct event_queue {
	struct event *first, **end; /* `end` NULL: never used */
	size_t count, of_rank[AUDIT_RANKS], bytes;
	uint64_t dropped;
};

/*
 * Add a copy. Without room the oldest of the greatest rank go, and so on down to its
 * own; one that finds only lesser ranks than its own is itself dropped.
 */
void event_queue_push(struct event_queue *q, enum audit_rank rank, const char *line, size_t len);
struct event *event_queue_pop(struct event_queue *q) WARN_UNUSED; /* NULL: empty; free() it */
void event_queue_clear(struct event_queue *q);

#endif
