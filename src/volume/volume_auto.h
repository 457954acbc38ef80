/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotation by itself (auto_rotate): what is done about a newer version that
 * volume_newest.c found. The decision is pure; the rotation is the rotor's, as
 * by hand. Private to src/volume.
 */
#ifndef TDEFS_VOLUME_AUTO_H
#define TDEFS_VOLUME_AUTO_H

#include "tdefs/volume_rotate.h"
#include "volume_internal.h"

struct newest;

/* Whether the second vault has the newer version's key, too. */
enum auto_second { SECOND_NONE, SECOND_NOT_ASKED, SECOND_HAS_IT, SECOND_LACKS_IT };

struct auto_facts {
	bool enabled; /* auto_rotate */
	bool to_do;   /* a newer version is known, or the last rotation is not safe on disk */
	bool at_work; /* the rotor has it */
	bool up;      /* the DEK is in memory: the volume may be online */
	bool due;     /* its time has come */
	bool pinned;  /* an operator chose the version in use */
	bool named;   /* the configured protector covers the newer one */
	enum auto_second second;
};

enum auto_action {
	AUTO_NOTHING,
	AUTO_WAIT,	 /* until it is due */
	AUTO_LEAVE,	 /* it is an operator's to do */
	AUTO_ASK_SECOND, /* then decide again */
	AUTO_HOLD,	 /* until the second vault has it */
	AUTO_ROTATE,
};
enum auto_action auto_decide(const struct auto_facts *facts);

/* Somewhere in the first quarter of a poll, by `chance`: not all volumes of a vault come at once. */
uint64_t auto_spread_ms(uint64_t poll_ms, uint16_t chance);
/* Until the next try after so many failures in a row. */
uint64_t auto_retry_ms(unsigned failures);

/* What is at work and what came of it. Under the lock of its struct newest. */
struct auto_rotation {
	bool enabled;
	bool at_work;
	bool not_safe;	       /* the last one is in force, but failed on disk */
	char kid[KID_MAX + 1]; /* the version that it is about; "": none */
	uint64_t due_ms;       /* by the boot clock */
	unsigned failures;     /* in a row */
	bool held;
	bool left;		     /* to an operator */
	struct errmsg why;	     /* of the last failure, or of the hold */
	char held_told[KID_MAX + 1]; /* the version whose hold was told of last */
	char protector[KID_MAX + 1]; /* as tdefs.conf named it when it was read last */
};

/* Under the lock: there is nothing to do, as far as is known. */
void auto_forget(struct auto_rotation *a);
/* Under the lock: a look found, or did not find, a newer version. */
void auto_found(struct newest *n, uint64_t now_ms);
/* Under the lock: when something is to be done; false: nothing is. */
bool auto_is_awaited(const struct newest *n, uint64_t *ret_due_ms);
/* On the thread of `n`, with no lock held; may block on the second vault. */
void auto_act(struct newest *n);
/* The rotor's thread: what came of a rotation by itself. Accepts NULL. */
void auto_rotated(struct newest *n, const struct rotation_outcome *outcome);

#endif
