/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's keys: the header's two copies on disk, the pin outside the
 * backing, and the way from a header to its DEK. Knows vaults, not files of
 * the volume. Functions on one volume are called under its lock
 * (.tdefs/lock), by one thread.
 */
#ifndef TDEFS_KEYRING_H
#define TDEFS_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "tdefs/crypto.h"
#include "tdefs/errmsg.h"
#include "tdefs/sysio.h"
#include "tdefs/vault.h"
#include "tdefs/volume_header.h"

#define HEADER_COPIES 2

enum header_copy_state {
	HEADER_COPY_GOOD,
	HEADER_COPY_MISSING,
	HEADER_COPY_DAMAGED,
	HEADER_COPY_NEWER, /* intact, but of a version we do not know */
	HEADER_COPY_STALE, /* intact, but older than the other, or not the same */
};

/* What the two copies of a header are, and the one that serves. */
struct header_found {
	enum header_copy_state state[HEADER_COPIES];
	struct volume_header header;
};

/* File names of the copies in the header directory. */
extern const char *const header_copy_names[HEADER_COPIES];
/* Of one that a restore put aside: NAME, this, and a number. */
#define HEADER_KEPT ".kept-"
const char *header_copy_state_text(enum header_copy_state state);

/* Is there any copy of a header, good or not, in the header directory? 1, 0 or an errno. */
int header_exists(const struct sysio *sys, int header_dirfd) WARN_UNUSED;

/*
 * Read both copies in the header directory and choose: the intact one with the
 * higher sequence. `volume` names it in messages. Needs no key, changes nothing.
 */
int header_read(const struct sysio *sys, int header_dirfd, const char *volume,
		struct header_found *ret_found, struct errmsg *reterr) WARN_UNUSED;

static inline bool header_needs_repair(const struct header_found *f)
{
	return f->state[0] != HEADER_COPY_GOOD || f->state[1] != HEADER_COPY_GOOD;
}

/* Write both copies; 0 when both are durable. One good copy stands after a crash at any byte. */
int header_write(const struct sysio *sys, int header_dirfd,
		 const struct volume_header *header) WARN_UNUSED;

/*
 * To the message of whoever has no key that opens this header: the keys that would, each
 * by thumbprint, by the time that it was in use, and by kid.
 */
void header_add_keys(const struct volume_header *header, struct errmsg *e);

/* A new instance's: random (RFC 9562, version 4). */
int uuid_make(uint8_t ret_uuid[static 16]) WARN_UNUSED;

/* Put the HMAC of `dek` into the header. */
int header_seal(struct volume_header *header, const struct secret *dek) WARN_UNUSED;

/* -EBADMSG unless the HMAC under `dek` is right. */
int header_authenticate(const struct volume_header *header, const struct secret *dek) WARN_UNUSED;

/*
 * What is remembered of a volume outside its backing, so that a header which
 * somebody put there, or an older one, is noticed.
 */
struct pin {
	uint8_t uuid[16];
	uint8_t dek_id[16];
	uint64_t sequence; /* highest seen */
};

/* -ENOENT: none. -EBADMSG: damaged. */
int pin_read(const struct sysio *sys, const char *state_dir, const char *volume,
	     struct pin *ret_pin) WARN_UNUSED;
/* Makes `state_dir` when it is missing. */
int pin_write(const struct sysio *sys, const char *state_dir, const char *volume,
	      const struct pin *pin) WARN_UNUSED;
void pin_remove(const struct sysio *sys, const char *state_dir, const char *volume);
struct pin pin_of_header(const struct volume_header *header);
/* Why this header is refused, or 0. */
int pin_check(const struct pin *pin, const struct volume_header *header, const char *volume,
	      struct errmsg *reterr) WARN_UNUSED;

/*
 * A new volume's header and DEK under the protector `key`, which was found fit
 * (protector_check): both are made here, wrapped by the vault, and verified by
 * an unwrap. Touches no disk. `now` is seconds since 1970.
 */
int keyring_create(struct vault *vault, const struct vault_key *key, uint64_t now,
		   struct volume_header *ret_header, struct secret **ret_dek,
		   struct errmsg *reterr) WARN_UNUSED;

/*
 * The DEK of a header, by its active slot, whose kid the protector `kid` must
 * cover, and whose key must still have the slot's thumbprint; each of the two
 * calls to the vault may take `timeout_ms`. The header is
 * authenticated. The report is always filled; its error is the message.
 */
int keyring_unlock(struct vault *vault, const char *kid, const struct volume_header *header,
		   const char *volume, unsigned timeout_ms, struct secret **ret_dek,
		   struct vault_report *ret_report) WARN_UNUSED;

/*
 * The same, by the key `kid`, whatever the active slot calls it: where the
 * slot's key lies in another vault. Whose kid that is is the caller's to know.
 */
int keyring_unlock_by(struct vault *vault, const char *kid, const struct volume_header *header,
		      const char *volume, unsigned timeout_ms, struct secret **ret_dek,
		      struct vault_report *ret_report) WARN_UNUSED;

/*
 * Whether the key of a slot is still granted, within `timeout_ms` in all: its
 * canary is unwrapped, and its own version can be got.
 */
enum vault_verdict keyring_probe(struct vault *vault, const struct key_slot *slot,
				 const char *volume, const struct clock *clock, unsigned timeout_ms,
				 struct vault_report *ret_report);

/* The same, and, when it is granted, what the vault says of the key. */
enum vault_verdict keyring_probe_key(struct vault *vault, const struct key_slot *slot,
				     const char *volume, const struct clock *clock,
				     unsigned timeout_ms, struct vault_key *ret_key,
				     struct vault_report *ret_report);

#endif
