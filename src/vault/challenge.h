/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Bearer challenge of a vault (RFC 6750, 3; key-vault REST): which token to
 * bring, and from whom. What it says is believed only as far as it is verified.
 * Pure.
 */
#ifndef TDEFS_VAULT_CHALLENGE_H
#define TDEFS_VAULT_CHALLENGE_H

#include <stdbool.h>

#include "tdefs/kid.h"

struct challenge {
	char authority_host[KID_HOST_MAX + 8]; /* with a port that is not 443 */
	char tenant[128];
	char resource[KID_VAULT_MAX]; /* https://..., without a final slash */
};

/* -EBADMSG: no Bearer challenge with an authority and a resource or scope. */
int challenge_parse(const char *www_authenticate, struct challenge *ret_challenge)
	__attribute__((warn_unused_result));

/*
 * Whether a token for `resource` may be sent to `host`: it is that host, or a
 * domain above it. A resource without a port is one of all ports, as in the SDKs.
 */
bool challenge_resource_covers(const char *resource, const char *host);

/* The host and port of an https URL, lower case, without the path; false: not one. */
bool url_host(const char *url, char *ret_host, unsigned room);

#endif
