/* SPDX-License-Identifier: Apache-2.0 */
/* A private key in a PEM file, as the body of an import. */
#ifndef TDEFS_VAULT_KEYFILE_H
#define TDEFS_VAULT_KEYFILE_H

#include <jansson.h>

#include "tdefs/cleanup.h"
#include "tdefs/errmsg.h"

/* Takes the reference `ops`, which may be NULL. */
int keyfile_to_body(const char *path, json_t *ops, json_t **ret_body,
		    struct errmsg *reterr) WARN_UNUSED;

#endif
