/* SPDX-License-Identifier: Apache-2.0 */
/* What is set once for the whole of OpenSSL: memory that it frees is wiped. */
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include <openssl/crypto.h>

#include "tdefs/crypto.h"

static void *allocate(size_t len, const char *file, int line)
{
	(void)file, (void)line;
	return malloc(len);
}

static void wipe_and_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	if (p)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}

/* realloc(3) may free the old bytes as they are. */
static void *resize(void *p, size_t len, const char *file, int line)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *q = len ? malloc(len) : NULL;

	if (q && p)
		memcpy(q, p, old < len ? old : len);
	if (q || len == 0)
		wipe_and_free(p, file, line);
	return q;
}

int crypto_init(void)
{
	return CRYPTO_set_mem_functions(allocate, resize, wipe_and_free) == 1 ? 0 : -EBUSY;
}
