/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7638 JWK thumbprints of RSA public keys. */
#include "tdefs/rsa.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/crypto.h"

#define INTEGER_MAX   1024 /* bytes: far above RSA-4096 */
#define BASE64URL_MAX (4 * ((INTEGER_MAX + 2) / 3) + 1)

static void drop_leading_zeros(const uint8_t **p, size_t *len)
{
	while (*len > 1 && **p == 0) {
		(*p)++;
		(*len)--;
	}
}

/* RFC 7515, section 2: base64url without padding. */
static int base64url(const uint8_t *data, size_t len, char out[static BASE64URL_MAX])
{
	size_t n;

	if (len > INTEGER_MAX)
		return -EINVAL;
	n = (size_t)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
	while (n > 0 && out[n - 1] == '=')
		out[--n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (out[i] == '+')
			out[i] = '-';
		else if (out[i] == '/')
			out[i] = '_';
	}
	return 0;
}

int jwk_thumbprint(const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len,
		   uint8_t ret_thumbprint[static THUMBPRINT_LEN])
{
	char n_text[BASE64URL_MAX], e_text[BASE64URL_MAX];
	char json[2 * BASE64URL_MAX + 64];
	int len;

	drop_leading_zeros(&n, &n_len);
	drop_leading_zeros(&e, &e_len);
	if (base64url(n, n_len, n_text) < 0 || base64url(e, e_len, e_text) < 0)
		return -EINVAL;
	/* Section 3.2: required members only, in lexicographic order, no white space. */
	len = snprintf(json, sizeof(json), "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", e_text,
		       n_text);
	return sha256(json, (size_t)len, ret_thumbprint);
}
