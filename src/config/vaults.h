/* SPDX-License-Identifier: Apache-2.0 */
/* The sections [vault HOST]. Private to src/config. */
#ifndef TDEFS_CONFIG_VAULTS_H
#define TDEFS_CONFIG_VAULTS_H

#include "keys.h"

/* Whether a section's HOST is one. */
bool vault_section_is_valid(const char *host);

/*
 * The section of `host`, which is valid, added when it is new. `sets` grows
 * beside config.vaults: what each has set. -ENOMEM.
 */
int vault_section(struct config *c, struct key_set **sets, const char *host,
		  struct settings **ret_settings, struct key_set **ret_set) WARN_UNUSED;

/* Give `s` its own copy of each section, the rest of its identity filled in. */
int vaults_give(const struct config *c, const struct key_set *sets, struct settings *s) WARN_UNUSED;

/* What is said of vaults must fit together: of one volume; and no section may be for nothing. */
int check_vaults_of(const struct config *c, const struct volume_config *v,
		    struct errmsg *reterr) WARN_UNUSED;
int check_vaults_used(const struct config *c, struct errmsg *reterr) WARN_UNUSED;

#endif
