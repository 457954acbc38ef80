/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acting for the process that asked: what a thread creates between
 * caller_become() and caller_restore() belongs to that process's user. Private
 * to src/store.
 */
#ifndef TDEFS_STORE_CALLER_H
#define TDEFS_STORE_CALLER_H

#include "tdefs/store.h"

/* Affects the calling thread only. On error the thread is as before. */
int caller_become(const struct caller *caller) WARN_UNUSED;
void caller_restore(const struct caller *caller);

#endif
