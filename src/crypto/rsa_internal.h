/* SPDX-License-Identifier: Apache-2.0 */
/* What an RSA key is, for the files of src/crypto that use one. */
#ifndef TDEFS_CRYPTO_RSA_INTERNAL_H
#define TDEFS_CRYPTO_RSA_INTERNAL_H

#include <openssl/types.h>

#include "tdefs/rsa.h"

struct rsa_key {
	EVP_PKEY *pkey;
};

#endif
