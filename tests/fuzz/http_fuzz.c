/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request to the metrics server: one of its answers, nothing read beyond the end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tdefs/metrics_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size); /* of just that size, so that a sanitizer sees its end */
	bool head = true;
	int status;

	assert(copy || size == 0);
	if (size > 0)
		memcpy(copy, data, size);
	status = metrics_http_status(size > 0 ? copy : "", size, &head);
	assert(status == 200 || status == 400 || status == 404 || status == 405);
	if (status == 200)
		assert(memmem(copy, size, " /metrics", 9));
	free(copy);
	return 0;
}
