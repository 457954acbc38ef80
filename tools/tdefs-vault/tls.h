/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate that new TLS connections get. It can be replaced at any time;
 * connections keep the one they began with.
 */
#ifndef TDEFS_VAULT_TLS_H
#define TDEFS_VAULT_TLS_H

#include <gnutls/abstract.h>

#include "cert.h"

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Use `cert` from the next connection on. */
int tls_use(const struct server_cert *cert) WARN_UNUSED;
/* After the last connection ended. */
void tls_release(void);

/* libmicrohttpd's MHD_OPTION_HTTPS_CERT_CALLBACK. */
int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *req_ca_dn, int nreqs,
		 const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
		 gnutls_pcert_st **pcert, unsigned int *pcert_length, gnutls_privkey_t *privkey);

#endif
