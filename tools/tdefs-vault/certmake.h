/* SPDX-License-Identifier: Apache-2.0 */
/* X.509 certificates on P-256 keys: an authority's and a server's. Stores nothing. */
#ifndef TDEFS_VAULT_CERTMAKE_H
#define TDEFS_VAULT_CERTMAKE_H

#include <openssl/types.h>

#include "tdefs/secret.h"

int cert_make_key(EVP_PKEY **ret_key) WARN_UNUSED;
/* Times are seconds since 1970; each starts a day early, for clocks that are behind. */
int cert_make_ca(EVP_PKEY *key, const char *label, int64_t now, int64_t expires,
		 X509 **ret_cert) WARN_UNUSED;
int cert_make_server(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *names, int64_t now,
		     int64_t expires, X509 **ret_cert) WARN_UNUSED;

char *cert_to_pem(X509 *cert); /* new; NULL without memory */
int cert_key_to_der(const EVP_PKEY *key, struct secret **ret_der) WARN_UNUSED;

#endif
