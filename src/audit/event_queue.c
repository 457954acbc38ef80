/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "event_queue.h"

#include <stdlib.h>
#include <string.h>

static struct event *take(struct event_queue *q, struct event **at)
{
	struct event *e = *at;

	*at = e->next;
	if (!e->next)
		q->end = at;
	q->count--;
	q->of_rank[e->rank]--;
	q->bytes -= e->len;
	return e;
}

static void drop_oldest(struct event_queue *q, enum audit_rank rank)
{
	struct event **at = &q->first;

	while ((*at)->rank != rank)
		at = &(*at)->next;
	free(take(q, at));
	q->dropped++;
}

static bool make_room(struct event_queue *q, enum audit_rank rank, size_t len)
{
	enum audit_rank last = AUDIT_RANK_MINOR;

	if (len > EVENT_QUEUE_BYTES_MAX)
		return false;
	while (q->count >= EVENT_QUEUE_MAX || q->bytes + len > EVENT_QUEUE_BYTES_MAX) {
		while (last > rank && q->of_rank[last] == 0)
			last--;
		if (q->of_rank[last] == 0)
			return false;
		drop_oldest(q, last);
	}
	return true;
}

void event_queue_push(struct event_queue *q, enum audit_rank rank, const char *line, size_t len)
{
	struct event *e = NULL;

	if (make_room(q, rank, len))
		e = malloc(sizeof(*e) + len);
	if (!e) {
		q->dropped++;
		return;
	}
	*e = (struct event){ .rank = rank, .len = len };
	memcpy(e->line, line, len);
	if (!q->end)
		q->end = &q->first;
	*q->end = e;
	q->end = &e->next;
	q->count++;
	q->of_rank[rank]++;
	q->bytes += len;
}

struct event *event_queue_pop(struct event_queue *q)
{
	return q->first ? take(q, &q->first) : NULL;
}

void event_queue_clear(struct event_queue *q)
{
	struct event *e;

	while ((e = event_queue_pop(q)))
		free(e);
}
