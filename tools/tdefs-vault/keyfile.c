/* SPDX-License-Identifier: Apache-2.0 */
/* PEM into a JSON Web Key. */
#include "keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tdefs/atomic_file.h"

#include "rsakey.h"

#define PEM_MAX (16U << 10)

static int read_key(const char *path, EVP_PKEY **ret_key, struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *pem = secret_new(PEM_MAX);
	ssize_t n;
	int r;

	if (!pem)
		return -ENOMEM;
	/* One byte is left, so that the text ends. */
	n = atomic_file_read(&sysio_kernel, AT_FDCWD, path, secret_bytes(pem), PEM_MAX - 1);
	if (n < 0)
		return errmsg_fail(reterr, (int)n, EXIT_CODE_CONFIG, "%s: %s", path,
				   errno_text((int)n));
	r = rsa_from_pem(pem, ret_key);
	if (r == 0)
		return 0;
	errmsg_next(reterr,
		    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 makes one");
	return errmsg_fail(
		reterr, r, EXIT_CODE_CONFIG,
		"%s: not a private RSA key of 2048, 3072 or 4096 bits without passphrase", path);
}

int keyfile_to_body(const char *path, json_t *ops, json_t **ret_body, struct errmsg *reterr)
{
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	json_t *jwk = NULL;
	int r = read_key(path, &key, reterr);

	if (r == 0)
		r = rsa_to_jwk(key, &jwk);
	if (r == 0 && ops)
		r = json_object_set(jwk, "key_ops", ops) < 0 ? -ENOMEM : 0;
	json_decref(ops);
	if (r == 0)
		*ret_body = json_pack("{s:O}", "key", jwk);
	json_decref(jwk);
	return r;
}
