/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: which requests a volume serves in which state, and the errno of
 * those it does not (DESIGN.md, "Contract: key access"). Asked by src/fs before
 * each operation; one atomic read when the volume is online.
 */
#ifndef TDEFS_GATE_H
#define TDEFS_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "tdefs/guard.h"

enum gate_request {
	GATE_READ,     /* contents */
	GATE_WRITE,    /* contents, by a caller who waits for the answer */
	GATE_PUSH,     /* contents, from the kernel's cache: the writer has gone on */
	GATE_OPEN,     /* without O_TRUNC */
	GATE_TRUNCATE, /* open with O_TRUNC */
	GATE_CHANGE,   /* names, attributes, sizes */
	GATE_DELETE,   /* unlink, rmdir */
};

struct gate {
	_Atomic unsigned position;
	_Atomic uint64_t refused; /* requests, in all */
	_Atomic unsigned readers; /* requests between gate_enter() and gate_leave() */
	_Atomic bool delete_by_all;
};

/* Serve as `guard`'s state says from now on. */
void gate_move(struct gate *gate, const struct guard *guard);

/* 0, or the negative errno that answers this request of this user. */
int gate_check(struct gate *gate, enum gate_request request, uid_t uid);

/*
 * Around a request that shows plaintext, its reply included: what entered before
 * the gate moved can be waited for. An error: it did not enter.
 */
int gate_enter(struct gate *gate);
void gate_leave(struct gate *gate);

#endif
