/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault's own certificate authority and server certificate. Both live in
 * the database, their keys sealed under the master key; DIR/ca.pem is a copy
 * for clients. The server certificate is renewed when a third of its life is
 * left, the authority's, with the same key, when a year is.
 */
#ifndef TDEFS_VAULT_CERT_H
#define TDEFS_VAULT_CERT_H

#include "vault.h"

#define CA_FILE "ca.pem"

/* A server certificate to use; release it. */
struct server_cert {
	char *pem;
	struct secret *key; /* DER */
};

/*
 * Make or renew what is missing or due, write ca.pem, and answer the server's
 * certificate for `names` (comma-separated hosts and addresses). `ret_renewed`
 * says whether it is a new one.
 */
int cert_prepare(const struct vault *v, sqlite3 *db, const char *names, int64_t now,
		 struct server_cert *ret_cert, bool *ret_renewed) WARN_UNUSED;
void cert_release(struct server_cert *cert);

/* Whether cert_prepare() would renew one of them, by when they end. */
bool cert_is_due(int64_t ca_expires, int64_t server_expires, int64_t now);

/* When they end, seconds since 1970; 0 when there is none yet. */
void cert_expiry(sqlite3 *db, int64_t *ret_ca, int64_t *ret_server);

#endif
