/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/gate.h"

#include <errno.h>

/* A position is one number, so that it changes at once: 0 is online. */
enum {
	POSITION_READ_ONLY = 1,
	POSITION_INACCESSIBLE = 2,
	POSITION_DRAINING = 4,
	POSITION_DENIED = 8
};

void gate_move(struct gate *gate, const struct guard *g)
{
	bool denied = g->reasons & GUARD_DENIED ||
		      (g->reasons & GUARD_DRILL && g->drill == GUARD_DRILL_DENIAL);
	unsigned position = 0;

	if (g->target == GUARD_READ_ONLY)
		position = POSITION_READ_ONLY;
	else if (g->target != GUARD_ONLINE)
		position = POSITION_INACCESSIBLE | (denied ? POSITION_DENIED : 0);
	if (g->state == GUARD_DRAINING)
		position |= POSITION_DRAINING;
	atomic_store(&gate->position, position);
}

static int when_read_only(unsigned position, enum gate_request request)
{
	if (request == GATE_READ || request == GATE_OPEN ||
	    (request == GATE_PUSH && position & POSITION_DRAINING))
		return 0;
	return -EROFS;
}

static int when_inaccessible(unsigned position, enum gate_request request, bool may_delete)
{
	bool draining = position & POSITION_DRAINING;

	if ((request == GATE_PUSH && draining) ||
	    (request == GATE_DELETE && !draining && may_delete))
		return 0;
	return position & POSITION_DENIED ? -EKEYREVOKED : -ENOKEY;
}

int gate_check(struct gate *gate, enum gate_request request, uid_t uid)
{
	unsigned position = atomic_load(&gate->position);
	int r;

	if (position == 0)
		return 0;
	r = position & POSITION_READ_ONLY
		    ? when_read_only(position, request)
		    : when_inaccessible(position, request,
					uid == 0 || atomic_load(&gate->delete_by_all));
	if (r < 0)
		atomic_fetch_add(&gate->refused, 1);
	return r;
}

int gate_enter(struct gate *gate)
{
	int r;

	/* Counted first: whoever moves the gate and then sees no readers has missed none. */
	atomic_fetch_add(&gate->readers, 1);
	r = gate_check(gate, GATE_READ, 0);
	if (r < 0)
		gate_leave(gate);
	return r;
}

void gate_leave(struct gate *gate)
{
	atomic_fetch_sub(&gate->readers, 1);
}
