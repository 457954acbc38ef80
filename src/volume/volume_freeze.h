/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/volume. */
#ifndef TDEFS_VOLUME_FREEZE_INTERNAL_H
#define TDEFS_VOLUME_FREEZE_INTERNAL_H

#include "tdefs/volume_freeze.h"

struct freezer *freezer_new(struct volume *v) WARN_UNUSED; /* NULL: no memory */
void freezer_stop(struct freezer *z); /* lets go, and waits: with a disk that hangs, too */
void freezer_free(struct freezer *z); /* accepts NULL */
/* The guard moved the gate: held back is only what would be served. Never blocks. */
void freezer_told(struct freezer *z);
bool freezer_is_frozen(struct freezer *z);
/*
 * Around a change of the backing that is nobody's request. False: not now, it is frozen; but what is
 * `urgent` ends the freeze.
 */
bool freezer_enter(struct freezer *z, bool urgent) WARN_UNUSED;
void freezer_leave(struct freezer *z);

#endif
