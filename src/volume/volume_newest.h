/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the protector's key has a newer version than the one in use: asked
 * each rotation_poll by a thread and a vault handle of its own, so that no
 * probe waits for it, and told of; it never changes the volume's state. Private to
 * src/volume. Every function accepts NULL: the protector has no versions.
 */
#ifndef TDEFS_VOLUME_NEWEST_H
#define TDEFS_VOLUME_NEWEST_H

#include "volume_internal.h"

/* Asks nobody. A protector in a file has no versions, and that is no error. */
int newest_open(struct volume *v, struct errmsg *reterr) WARN_UNUSED;
int newest_start(struct newest *n) WARN_UNUSED;
void newest_end(struct newest *n); /* nothing is asked any more */
/* After newest_end(). False: its thread hangs with the vault and was left behind. */
bool newest_stop(struct newest *n) WARN_UNUSED;
void newest_silence(struct newest *n); /* see watched_vault_end() */
void newest_close(struct newest *n);

/* The guard's thread, after each step; does not block. */
void newest_told(struct newest *n, const struct guard *after);
/* The header has another key: what was known is of the one before. */
void newest_look_again(struct newest *n);
/* rotation_poll as it was read again; 0: never. */
void newest_set_interval(struct newest *n, uint64_t every_ms);

#endif
