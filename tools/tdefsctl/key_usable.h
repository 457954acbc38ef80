/* SPDX-License-Identifier: Apache-2.0 */
/* Can a key that nothing may have been wrapped by yet unwrap for us? */
#ifndef TDEFSCTL_KEY_USABLE_H
#define TDEFSCTL_KEY_USABLE_H

#include "tdefsctl.h"

/*
 * By the canary of `slot`, where there is one of this key; else by asking for an unwrap
 * of bytes that nobody wrapped: who may not unwrap is told so, who may, that they are
 * wrong. Why not is in call->err.
 */
int key_usable(struct call *call, const struct vault_watch *watch, const struct settings *settings,
	       const char *kid, const struct key_slot *slot) WARN_UNUSED;

#endif
