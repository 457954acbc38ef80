/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers for things: node ids and file handles are numbers in such a table,
 * never pointers, so that a successor process can be told of them. Each number
 * has a generation that changes when the number is used again.
 *
 * All functions are thread-safe; a look-up takes no lock. The table does not
 * own what it points to: whoever removes a number sees to it that nobody still
 * uses the pointer.
 */
#ifndef TDEFS_IDTABLE_H
#define TDEFS_IDTABLE_H

#include <stdint.h>

#include "tdefs/cleanup.h"

struct idtable;

struct idtable *idtable_new(void) WARN_UNUSED; /* NULL: no memory */
void idtable_free(struct idtable *t);	       /* accepts NULL */

/* Numbers start at 1, lowest free first. -ENOMEM, or -ENFILE when all are used. */
int idtable_add(struct idtable *t, void *thing, uint64_t *ret_id,
		uint64_t *ret_generation) WARN_UNUSED;

/* NULL when the number is not in use. */
void *idtable_get(const struct idtable *t, uint64_t id);

void idtable_remove(struct idtable *t, uint64_t id);

/* One past the highest number ever given out; for walking all with idtable_get(). */
uint64_t idtable_limit(struct idtable *t);

#endif
