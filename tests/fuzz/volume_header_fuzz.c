/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volume headers of any bytes: parsed or refused. The digest always agrees, so
 * that what stands behind it is reached. What parses is written back the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tdefs/volume_header.h"

#define DIGEST_OFFSET 480

static uint8_t wanted[32];

static int agree(const void *data, size_t len, uint8_t ret_digest[static 32])
{
	(void)data, (void)len;
	memcpy(ret_digest, wanted, sizeof(wanted));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[VOLUME_HEADER_LEN];
	struct volume_header h, again;

	if (size >= VOLUME_HEADER_LEN)
		memcpy(wanted, data + DIGEST_OFFSET, sizeof(wanted));
	if (volume_header_parse(data, size, agree, &h) < 0)
		return 0;
	assert(volume_header_active_slot(&h) != NULL);
	assert(volume_header_encode(&h, agree, bytes) == 0);
	assert(memcmp(bytes, data, sizeof(bytes)) == 0);
	assert(volume_header_parse(bytes, sizeof(bytes), agree, &again) == 0);
	return 0;
}
