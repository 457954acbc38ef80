/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the protector in use expires: an expired key goes on opening volumes, but
 * wraps nothing new, so whoever lets it come that far cannot rotate away from it
 * without a new version. Private to src/volume.
 */
#ifndef TDEFS_VOLUME_EXPIRY_H
#define TDEFS_VOLUME_EXPIRY_H

#include "volume_internal.h"

struct expiry *expiry_new(uint64_t warning_ms)
	WARN_UNUSED;		    /* 0: nobody is warned; NULL: no memory */
void expiry_free(struct expiry *e); /* accepts NULL */
void expiry_set_warning(struct expiry *e, uint64_t warning_ms);

/* What the vault said of the key in use, `kid`; on the thread that probes. */
void expiry_heard(const struct volume *v, const char *kid, uint64_t expires);

/* Pure. `expires` 0: never. */
bool expiry_is_soon(uint64_t expires, uint64_t warning_ms, uint64_t now);

#endif
