/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that runs `on_event`: forked before any key or secret is there, as
 * another user for good, with nothing of the daemon's but the link (hook_link.h).
 */
#ifndef TDEFS_HOOK_HELPER_H
#define TDEFS_HOOK_HELPER_H

#include "tdefs/cleanup.h"
#include "tdefs/errmsg.h"

/*
 * Fork it; before any thread, any secret, and while all capabilities are there.
 * Returns in the daemon only. EXIT_CODE_CONFIG when there is no such user.
 */
int hook_helper_fork(const char *user, int *ret_link, struct errmsg *reterr) WARN_UNUSED;

#endif
