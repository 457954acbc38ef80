/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key-access states: what the vault's answers and the operator's commands make
 * of a volume (DESIGN.md, "Contract: key access"; src/guard/STATES.md).
 *
 * guard_step() is a pure function of policy, state, event and time. What it
 * asks for is done elsewhere (guard_thread.h). Times are milliseconds on
 * CLOCK_BOOTTIME, wall-clock times are seconds since 1970.
 */
#ifndef TDEFS_GUARD_H
#define TDEFS_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "tdefs/cleanup.h"
#include "tdefs/config.h"
#include "tdefs/vault.h"

enum guard_state {
	GUARD_STARTING,	    /* nothing is mounted, no answer of the vault yet */
	GUARD_WAITING,	    /* nothing is mounted, the vault is unreachable */
	GUARD_FAILED,	    /* nothing is mounted, and waiting will not help */
	GUARD_ONLINE,	    /* read and write */
	GUARD_READ_ONLY,    /* every change is EROFS */
	GUARD_DRAINING,	    /* on the way down, to guard.target */
	GUARD_INACCESSIBLE, /* no contents; the DEK is gone */
};

/* Why a volume is down; online only when there is none. Bits. */
enum guard_reason {
	GUARD_DENIED = 1, /* the vault said no, and said it again */
	GUARD_OUTAGE = 2, /* the vault has been unreachable for too long */
	GUARD_LOCKED = 4, /* tdefsctl lock */
	GUARD_DRILL = 8,  /* tdefsctl drill */
};

#define GUARD_SILENCE_CONFIRMS_MS 120000u /* a denial that cannot be confirmed for so long is one */
#define GUARD_DRILL_MAX_MS	  300000u
#define GUARD_KEEP_GRANT_S	  3600u /* a grant is remembered when the last is older */

/* What a probe found. */
struct guard_probe {
	enum vault_verdict verdict;
	bool secondary; /* it was the secondary that answered */
};

enum guard_drill { GUARD_DRILL_NONE, GUARD_DRILL_OUTAGE, GUARD_DRILL_DENIAL };

enum guard_event_kind {
	GUARD_TICK,	     /* time has passed */
	GUARD_PROBED,	     /* `probe`: the vault's answer */
	GUARD_UNLOCKED,	     /* the DEK is in memory (asked for by GUARD_UNLOCK) */
	GUARD_UNLOCK_FAILED, /* it is not: `probe` says why */
	GUARD_DRAINED,	     /* what could be written is written, or drain_timeout is over */
	GUARD_KEPT,	     /* the record is on disk as it is now, or could not be written */
	/* From here on: the operator's commands. */
	GUARD_LOCK,
	GUARD_RESUME,	   /* `probe`: the answer that the operator's command got */
	GUARD_EXTEND,	   /* `for_ms`: more time in an outage, in all */
	GUARD_DRILL_BEGIN, /* `drill`, `for_ms` */
	GUARD_DRILL_END,
};

struct guard_event {
	enum guard_event_kind kind;
	struct guard_probe probe;
	enum guard_drill drill;
	uint64_t for_ms;
};

/* What is to be done, in this order. Bits. */
enum guard_action {
	GUARD_DO_PERSIST = 1, /* write .tdefs/state, and report GUARD_KEPT; the way up waits */
	GUARD_DO_REFUSE =
		2, /* refuse new plaintext with the errno of the coming state, and drain */
	GUARD_DO_SWITCH = 4,  /* the gate takes on the new state */
	GUARD_DO_WIPE = 8,    /* keys and buffers */
	GUARD_DO_PURGE = 16,  /* drop cached pages: all when inaccessible, else what was refused */
	GUARD_DO_UNLOCK = 32, /* unwrap the DEK, and report GUARD_UNLOCKED or GUARD_UNLOCK_FAILED */
};

struct guard {
	enum guard_state state;
	enum guard_state target; /* while draining: where to; else the state */
	unsigned reasons;
	bool has_key;	/* the DEK is in memory */
	bool unlocking; /* GUARD_DO_UNLOCK was asked for and not answered */
	bool unkept;	/* the record is not on disk as it is now */
	bool granted;	/* the last answer was a grant */

	unsigned denials;      /* answers in a row without a grant; more than policy: confirmed */
	uint64_t denied_ms;    /* when the first of them came */
	uint64_t denied_at;    /* the same, wall clock; of a restart, too */
	bool denied_secondary; /* which vault said it */
	uint64_t heal_ms;      /* first grant since, 0: none */
	uint64_t silent_ms;    /* since when there is no grant for want of an answer, 0: there is */
	uint64_t extended_ms;  /* more time in this outage */
	uint64_t granted_ms;   /* last grant of this run, 0: none */
	uint64_t granted_at;   /* last grant, wall clock, 0: never */
	uint64_t kept_at;      /* the last grant that was remembered */
	bool secondary_serves; /* the last grant was the secondary's */
	enum guard_drill drill;
	uint64_t drill_until_ms;
	uint64_t next_probe_ms;
};

/* What `.tdefs/state` keeps, so that a restart undoes nothing. */
struct guard_record {
	bool locked;
	bool denied;
	bool pending; /* denied, and neither confirmed nor granted since */
	bool denied_secondary;
	uint64_t denied_at;  /* seconds since 1970 */
	uint64_t granted_at; /* seconds since 1970 */
};

/* The time of an event, by both clocks. */
struct guard_time {
	uint64_t ms;	 /* boot */
	uint64_t now;	 /* wall */
	uint64_t jitter; /* of the next probe, parts of 1000: 0..200 is -10 % to +10 % */
};

/* A volume before its first answer, with what was remembered of it. */
struct guard guard_start(const struct guard_record *record, struct guard_time t);

/* One event; the result is guard_action bits. Pure. */
unsigned guard_step(const struct guard_policy *p, struct guard *g, const struct guard_event *e,
		    struct guard_time t) WARN_UNUSED;

/* What .tdefs/state is to say. */
struct guard_record guard_record_of(const struct guard *g);

/* Denied, and neither confirmed nor granted since. */
static inline bool guard_is_pending(const struct guard *g)
{
	return g->denials > 0 && !(g->reasons & GUARD_DENIED);
}

/* Whether the invariants of STATES.md hold. */
bool guard_is_sound(const struct guard *g);

/* When an outage is `after_ms` old, what was given in addition counted; GUARD_NEVER: there is none. */
static inline uint64_t guard_outage_ms(const struct guard *g, uint64_t after_ms)
{
	return g->silent_ms ? g->silent_ms + g->extended_ms + after_ms : UINT64_MAX;
}

/* When guard_step() must be called again at the latest, with GUARD_TICK. */
uint64_t guard_next_tick(const struct guard_policy *p, const struct guard *g);

#define GUARD_NEVER UINT64_MAX

/*
 * Milliseconds until the volume becomes read-only or inaccessible if nothing
 * changes; GUARD_NEVER: it will not, by itself. 0: it is.
 */
uint64_t guard_until_read_only(const struct guard_policy *p, const struct guard *g,
			       uint64_t now_ms);
uint64_t guard_until_denied(const struct guard_policy *p, const struct guard *g, uint64_t now_ms);

/*
 * The evidence of two vaults (DESIGN.md, "Two vaults"). `secondary` NULL: there
 * is none, or it was not asked. `serving`: the last grant was the secondary's.
 */
struct guard_probe guard_evidence(enum vault_verdict primary, const enum vault_verdict *secondary,
				  bool serving);

const char *guard_state_name(enum guard_state state);
/* "denied", or several with commas; "" for none. */
const char *guard_reasons_text(unsigned reasons, char *out, size_t len);

/* STATE file in the header directory: `.tdefs/state`. -ENOENT: none. -EBADMSG: damaged. */
struct sysio;
int guard_record_read(const struct sysio *sys, int header_dirfd,
		      struct guard_record *ret_record) WARN_UNUSED;
int guard_record_write(const struct sysio *sys, int header_dirfd,
		       const struct guard_record *record) WARN_UNUSED;

#endif
