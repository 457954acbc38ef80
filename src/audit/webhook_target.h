/* SPDX-License-Identifier: Apache-2.0 */
/* Where a webhook goes: what its file says, and the signature of what is sent. */
#ifndef TDEFS_AUDIT_WEBHOOK_TARGET_H
#define TDEFS_AUDIT_WEBHOOK_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "tdefs/crypto.h"
#include "tdefs/errmsg.h"

#define WEBHOOK_FILE_MAX      4096
#define WEBHOOK_HOST_MAX      280 /* a port included */
#define WEBHOOK_KEY_MIN	      16
#define WEBHOOK_SIGNATURE_LEN 96

struct webhook_target {
	struct secret *url; /* ended by a zero */
	struct secret *key; /* of the HMAC; NULL: none */
	char *ca_file;	    /* NULL: the system's roots */
	char host[WEBHOOK_HOST_MAX];
};

/* Read and check the files. */
int webhook_target_read(const char *file, const char *ca_file, struct webhook_target **ret_target,
			struct errmsg *reterr) WARN_UNUSED;

/* The same of a file's text: URL, newline, key. `name` is for messages. */
int webhook_target_parse(const char *name, const struct secret *text,
			 struct webhook_target **ret_target, struct errmsg *reterr) WARN_UNUSED;

void webhook_target_free(struct webhook_target *t); /* accepts NULL */

/* "t=SECONDS,v1=HEX": HMAC-SHA-256 over SECONDS, a dot and the body. */
int webhook_signature(const struct secret *key, uint64_t now, const void *body, size_t len,
		      char ret_text[static WEBHOOK_SIGNATURE_LEN]) WARN_UNUSED;

#endif
