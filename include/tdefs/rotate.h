/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotation of the TDE protector: the DEK, unwrapped afresh by the vault in the
 * same command, is wrapped by another key; no data is touched. At every instant
 * the header on disk opens with the old key or with the new one.
 *
 * Which key may be taken, and whose settings reach its vault, is the caller's
 * to know; so is the volume's lock.
 */
#ifndef TDEFS_ROTATE_H
#define TDEFS_ROTATE_H

#include "tdefs/keyring.h"

/* Who says which version it is to be. */
enum rotation_choice {
	ROTATION_NEWEST, /* nobody: refused while the header is pinned to a version */
	ROTATION_CHOSEN, /* an operator: a version that is not the newest pins the header */
	ROTATION_UNPIN,	 /* an operator: no version any more */
};

struct rotation {
	const struct sysio *sys;
	int header_dirfd;
	const char *volume;    /* for messages, and the pin's name */
	const char *state_dir; /* of the pin; NULL: this header has none */
	const struct policy *policy;
	uint64_t now; /* seconds since 1970 */

	/* What gives the DEK: its vault, the configured kid that covers the slot's, the slot. */
	struct vault *from;
	const char *from_kid;
	const struct key_slot *from_slot; /* NULL: the active one; else a previous one */

	struct vault *to;
	const char *to_kid; /* without a version: the newest */
	enum rotation_choice choice;
	bool retire;  /* keep no previous slot */
	bool dry_run; /* ask both vaults and write nothing; the result is what would be */

	/*
	 * How long the DEK may be in memory in order to be wrapped, in all, and each call take
	 * that asks for it; 0: as long as a command may. By `clock`; NULL: the kernel's.
	 */
	unsigned dek_timeout_ms;
	const struct clock *clock;

	/*
	 * Asked before each write, and between the calls that are made with the DEK in
	 * memory; 0, or why there must be none. NULL: nobody minds.
	 */
	int (*may_write)(void *arg, struct errmsg *reterr);
	void *arg;
};

struct rotation_result {
	bool rotated;		     /* another key is the protector now */
	bool retired;		     /* previous slots were dropped */
	bool pin_changed;	     /* it was pinned to a version, or is no more */
	struct volume_header header; /* what stands on disk by now */
};

/*
 * 0: done, and durable; also when the key is the protector already (`rotated` false):
 * the same header is written again, as the last time may have failed half-way. An
 * error: `ret_result` says all the same what is in force: a disk that fails half-way may
 * leave the new header. -ENOKEY (a vault does not answer) has EXIT_CODE_TRY_AGAIN.
 */
int rotate_header(const struct rotation *rotation, const struct volume_header *header,
		  struct rotation_result *ret_result, struct errmsg *reterr) WARN_UNUSED;

#endif
