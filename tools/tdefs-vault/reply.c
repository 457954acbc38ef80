/* SPDX-License-Identifier: Apache-2.0 */
/* Responses. What they say is decided elsewhere. */
#include "reply.h"

#include <malloc.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

static void wipe_free(void *text)
{
	if (text)
		secret_wipe(text, malloc_usable_size(text));
	free(text);
}

/* A body of which only the first bytes come. */
struct cut {
	char *text;
	size_t len, end;
};

static ssize_t read_cut(void *cls, uint64_t pos, char *buf, size_t max)
{
	const struct cut *cut = cls;
	size_t left = pos < cut->end ? cut->end - pos : 0;
	size_t n = left < max ? left : max;

	if (n == 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	memcpy(buf, cut->text + pos, n);
	return (ssize_t)n;
}

static void free_cut(void *cls)
{
	struct cut *cut = cls;

	wipe_free(cut->text);
	free(cut);
}

static struct MHD_Response *truncated(struct answer *a, size_t end)
{
	struct cut *cut = calloc(1, sizeof(*cut));

	if (!cut)
		return NULL;
	cut->len = a->len;
	cut->end = end < a->len ? end : a->len;
	cut->text = TAKE_PTR(a->text);
	return MHD_create_response_from_callback(cut->len, 4096, read_cut, cut, free_cut);
}

static struct MHD_Response *whole(struct answer *a)
{
	if (!a->text)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	return MHD_create_response_from_buffer_with_free_callback(a->len, TAKE_PTR(a->text),
								  wipe_free);
}

/* One bit of the answer's "value" turned: a plaintext that is not the true one. */
static void spoil_value(struct answer *a)
{
	char *value = a->text ? strstr(a->text, "\"value\":\"") : NULL;

	if (!value)
		return;
	value += strlen("\"value\":\"");
	*value = *value == 'A' ? 'B' : 'A';
}

static void spoil(struct answer *a, const struct fault_set *faults)
{
	if (faults->on[FAULT_WRONG])
		spoil_value(a);
	if (faults->on[FAULT_BODY]) {
		unsigned status = a->status;
		bool html = faults->value[FAULT_BODY][0] == '<';

		IGNORE_RESULT(answer_text(a, status, html ? "text/html" : a->content_type,
					  faults->value[FAULT_BODY]),
			      "the true body then");
	}
}

static void add(struct MHD_Response *response, const char *name, const char *value)
{
	if (value && value[0])
		(void)MHD_add_response_header(response, name, value);
}

static void add_fault_header(struct MHD_Response *response, const char *line)
{
	char name[64];
	const char *colon = strchr(line, ':');

	if (!colon || (size_t)(colon - line) >= sizeof(name))
		return;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(colon - line), line);
	add(response, name, colon + 1 + strspn(colon + 1, " "));
}

static void add_headers(struct MHD_Response *response, const struct request *rq,
			const struct answer *a)
{
	if (a->status != 204)
		add(response, "Content-Type", a->content_type);
	add(response, "Cache-Control", "no-cache");
	add(response, "Pragma", "no-cache");
	add(response, "Expires", "-1");
	add(response, "WWW-Authenticate", a->authenticate);
	add(response, "x-ms-keyvault-region", VAULT_LOCATION);
	add(response, "x-ms-client-request-id", rq->client_request_id);
	add(response, "x-ms-request-id", rq->id);
	add(response, "x-ms-keyvault-service-version", "tdefs-vault-" TDEFS_VERSION);
	add(response, "x-ms-keyvault-network-info", rq->client_net);
	add(response, "X-Content-Type-Options", "nosniff");
	add(response, "Strict-Transport-Security", "max-age=31536000;includeSubDomains");
}

bool reply_send(struct MHD_Connection *connection, const struct request *rq, struct answer *a,
		const struct fault_set *faults)
{
	struct MHD_Response *response;
	unsigned status = a->status;
	bool sent;

	spoil(a, faults);
	response = faults->on[FAULT_TRUNCATE]
			   ? truncated(a, strtoul(faults->value[FAULT_TRUNCATE], NULL, 10))
			   : whole(a);
	if (!response)
		return false;
	add_headers(response, rq, a);
	if (faults->on[FAULT_HEADER])
		add_fault_header(response, faults->value[FAULT_HEADER]);
	sent = MHD_queue_response(connection, status, response) == MHD_YES;
	MHD_destroy_response(response);
	return sent;
}
