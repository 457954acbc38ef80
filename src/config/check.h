/* SPDX-License-Identifier: Apache-2.0 */
/* Checks over several settings. Private to src/config. */
#ifndef TDEFS_CONFIG_CHECK_H
#define TDEFS_CONFIG_CHECK_H

#include "tdefs/config.h"

/* A volume by itself, and against those before it. */
int check_volume(const struct config *c, size_t i, struct errmsg *reterr) WARN_UNUSED;
/* Our own files lie in no volume. */
int check_own_paths(const struct config *c, struct errmsg *reterr) WARN_UNUSED;

#endif
