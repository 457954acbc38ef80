/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret memory. A key lives in a `struct secret`: locked in RAM, left out of
 * core dumps, gone in a forked child, wiped when freed. Nothing prints one.
 *
 * Files that include this header use secret_wipe() and crypto's comparison;
 * memset and memcmp on key bytes are refused by tests/lint/banned.
 */
#ifndef TDEFS_SECRET_H
#define TDEFS_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "tdefs/cleanup.h"

struct secret;

/*
 * `len` zero bytes of secret memory, or NULL when there is no memory or it
 * cannot be locked (RLIMIT_MEMLOCK, see mlock(2)). Thread-safe.
 */
struct secret *secret_new(size_t len) WARN_UNUSED;

/*
 * Whether secret memory must be locked; it must, unless this says otherwise
 * before the first secret is made. For where no memory can be locked, and swap
 * is encrypted or off.
 */
void secret_lock_memory(bool lock);

/* Wipe and free; accepts NULL. Thread-safe. */
void secret_free(struct secret *s);

uint8_t *secret_bytes(struct secret *s);
const uint8_t *secret_view(const struct secret *s);
size_t secret_len(const struct secret *s);

/* Overwrite memory in a way the compiler keeps. */
void secret_wipe(void *p, size_t len);

/* Secrets alive now; for tests and leak checks. */
size_t secret_count(void);

static inline void cleanup_secret_(struct secret **s)
{
	secret_free(*s);
}
#define CLEANUP_SECRET CLEANUP(cleanup_secret_)

#endif
