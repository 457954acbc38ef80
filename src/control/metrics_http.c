/* SPDX-License-Identifier: Apache-2.0 */
/* What a request to the metrics server is answered with. Pure. */
#include "tdefs/metrics_server.h"

#include <string.h>

#define TARGET "/metrics"

static bool word_is(const char *word, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(word, text, len) == 0;
}

static bool is_target(const char *target, size_t len)
{
	return len >= strlen(TARGET) && memcmp(target, TARGET, strlen(TARGET)) == 0 &&
	       (len == strlen(TARGET) || target[strlen(TARGET)] == '?');
}

/* A word of the first line, up to `end`; what follows it must be one space, or `end`. */
static size_t word_len(const char *word, const char *end)
{
	const char *space = memchr(word, ' ', (size_t)(end - word));

	return (size_t)((space ? space : end) - word);
}

int metrics_http_status(const char *request, size_t len, bool *ret_head)
{
	const char *end = memchr(request, '\n', len);
	const char *method = request, *target, *version;
	size_t method_len, target_len;

	*ret_head = false;
	if (!end)
		return 400;
	if (end > request && end[-1] == '\r')
		end--;
	method_len = word_len(method, end);
	target = method + method_len + 1;
	if (target >= end)
		return 400;
	target_len = word_len(target, end);
	version = target + target_len + 1;
	if (method_len == 0 || target_len == 0 || version >= end || end - version != 8 ||
	    memcmp(version, "HTTP/1.", 7) != 0)
		return 400;
	*ret_head = word_is(method, method_len, "HEAD");
	if (!is_target(target, target_len))
		return 404;
	return *ret_head || word_is(method, method_len, "GET") ? 200 : 405;
}
