/* SPDX-License-Identifier: Apache-2.0 */
/* The current certificate in GnuTLS's form. Making certificates is cert.c's. */
#include "tls.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct pair {
	gnutls_pcert_st cert;
	gnutls_privkey_t key;
	struct pair *older; /* connections may still use it: kept to the end, a few a year */
};

/* GnuTLS hands its callback no pointer of ours, so there is one for the process. */
static _Atomic(struct pair *) current;

static void pair_free(struct pair *p)
{
	gnutls_pcert_deinit(&p->cert);
	gnutls_privkey_deinit(p->key);
	free(p);
}

static int load(struct pair *p, const struct server_cert *cert)
{
	gnutls_datum_t pem = { (unsigned char *)cert->pem, (unsigned)strlen(cert->pem) };
	gnutls_datum_t der = { secret_bytes(cert->key), (unsigned)secret_len(cert->key) };

	if (gnutls_privkey_init(&p->key) < 0)
		return -ENOMEM;
	if (gnutls_privkey_import_x509_raw(p->key, &der, GNUTLS_X509_FMT_DER, NULL, 0) < 0 ||
	    gnutls_pcert_import_x509_raw(&p->cert, &pem, GNUTLS_X509_FMT_PEM, 0) < 0)
		return -EBADMSG;
	return 0;
}

int tls_use(const struct server_cert *cert)
{
	struct pair *p = calloc(1, sizeof(*p));
	int r = p ? load(p, cert) : -ENOMEM;

	if (r < 0) {
		if (p)
			pair_free(p);
		return r;
	}
	p->older = atomic_load(&current);
	atomic_store(&current, p);
	return 0;
}

void tls_release(void)
{
	struct pair *p = atomic_exchange(&current, NULL);

	while (p) {
		struct pair *older = p->older;

		pair_free(p);
		p = older;
	}
}

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *req_ca_dn, int nreqs,
		 const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
		 gnutls_pcert_st **pcert, unsigned int *pcert_length, gnutls_privkey_t *privkey)
{
	struct pair *p = atomic_load(&current);

	(void)session, (void)req_ca_dn, (void)nreqs, (void)pk_algos, (void)pk_algos_length;
	if (!p)
		return -1;
	*pcert = &p->cert;
	*pcert_length = 1;
	*privkey = p->key;
	return 0;
}
