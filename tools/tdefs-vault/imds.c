/* SPDX-License-Identifier: Apache-2.0 */
/* The managed-identity endpoint: who asks, and for what. Tokens are token.c's. */
#include "imds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tdefs/log.h"

#include "audit.h"
#include "fault.h"
#include "http.h"
#include "reply.h"
#include "token.h"

#define TOKEN_PATH "/metadata/identity/oauth2/token"

bool imds_parse_uids(const char *text, struct imds_config *config)
{
	const char *p = text;

	for (config->nuids = 0; config->nuids < IMDS_UIDS_MAX;) {
		char *end;
		unsigned long uid = strtoul(p, &end, 10);

		if (end == p || *p == '-' || (*end && *end != ',') || uid >= UINT32_MAX)
			return false;
		config->uids[config->nuids++] = (uid_t)uid;
		if (*end == '\0')
			return true;
		p = end + 1;
	}
	return false;
}

/*
 * Whose socket is at the other end: the kernel's table of IPv4 connections,
 * looked up by the pair of ports. Addresses there are hexadecimal, host order.
 */
static int peer_uid(const struct sockaddr_in *peer, unsigned our_port, uid_t *ret_uid)
{
	CLEANUP_FCLOSE FILE *table = fopen("/proc/net/tcp", "re");
	char line[256], pair[64];

	if (!table)
		return -errno;
	(void)snprintf(pair, sizeof(pair), " %08X:%04X %08X:%04X ", peer->sin_addr.s_addr,
		       (unsigned)ntohs(peer->sin_port), htonl(INADDR_LOOPBACK), our_port);
	while (fgets(line, sizeof(line), table)) {
		const char *at = strstr(line, pair);

		if (!at)
			continue;
		/* Then: state, queues, timer, retransmissions, uid. */
		at += strlen(pair);
		for (int skip = 0; skip < 4 && at; skip++) {
			at = strchr(at, ' ');
			at = at ? at + strspn(at, " ") : NULL;
		}
		if (!at)
			break;
		*ret_uid = (uid_t)strtoul(at, NULL, 10);
		return 0;
	}
	return -ENOENT;
}

static bool uid_is_allowed(const struct imds *imds, struct request *rq, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr_in *peer = info ? (const void *)info->client_addr : NULL;
	uid_t uid = (uid_t)-1;

	if (!peer || peer->sin_family != AF_INET || peer_uid(peer, imds->port, &uid) < 0)
		return false;
	rq->caller.uid = uid;
	for (size_t i = 0; i < imds->config.nuids; i++)
		if (imds->config.uids[i] == uid)
			return true;
	return false;
}

static int error(struct answer *a, unsigned status, const char *code, const char *text)
{
	int r = answer_json(a, json_pack("{s:s, s:s}", "error", code, "error_description", text));

	a->status = status;
	(void)snprintf(a->result, sizeof(a->result), "%s", code);
	return r;
}

/* The query may name the identity; it must be the one that is served. */
static bool asks_for(struct MHD_Connection *c, const struct identity *id)
{
	const char *client = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "client_id");
	const char *object = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "object_id");

	return (!client || strcasecmp(client, id->client_id) == 0) &&
	       (!object || strcasecmp(object, id->oid) == 0) &&
	       !MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "msi_res_id");
}

static bool resource_fits(const char *resource, const char *ours)
{
	size_t len = strlen(ours);

	return resource && strncmp(resource, ours, len) == 0 &&
	       (resource[len] == '\0' || strcmp(resource + len, "/") == 0);
}

static int answer_token(const struct imds *imds, struct request *rq, const struct identity *id,
			struct answer *a)
{
	const struct vault *v = imds->vault;
	CLEANUP_FREE char *token = NULL;
	long long life = (long long)v->token_lifetime;
	int r = token_issue(v, id, v->url, v->resource, rq->now, &token);

	if (r < 0)
		return r;
	r = answer_json(a, json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:s}", "access_token", token,
				     "client_id", id->client_id, "expires_in",
				     json_sprintf("%lld", life), "expires_on",
				     json_sprintf("%lld", (long long)rq->now + life), "not_before",
				     json_sprintf("%lld", (long long)rq->now), "resource",
				     v->resource, "token_type", "Bearer"));
	secret_wipe(token, strlen(token));
	return r;
}

static int serve(const struct imds *imds, struct request *rq, struct MHD_Connection *c,
		 struct answer *a)
{
	const char *metadata = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Metadata");
	const char *resource = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "resource");
	CLEANUP_IDENTITY struct identity id = { 0 };
	int r;

	if (!metadata || strcasecmp(metadata, "true") != 0 ||
	    MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-Forwarded-For"))
		return error(a, 400, "bad_request_102", "Required metadata header not specified");
	if (!uid_is_allowed(imds, rq, c))
		return error(a, 403, "access_denied", "This user may not ask for tokens");
	if (strcasecmp(rq->path, TOKEN_PATH) != 0 || strcmp(rq->method, "GET") != 0)
		return error(a, 404, "not_found", "There is nothing of this name");
	if (!MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "api-version"))
		return error(a, 400, "invalid_request",
			     "Required query variable 'api-version' is missing");
	if (!resource)
		return error(a, 400, "invalid_request",
			     "Required query variable 'resource' is missing");
	if (!resource_fits(resource, imds->vault->resource))
		return error(a, 400, "invalid_resource",
			     "AADSTS500011: The resource principal was not found in the tenant");
	r = identity_by_name(rq->db, imds->config.identity, &id);
	if (r < 0)
		return r;
	if (r == 0 || !asks_for(c, &id))
		return error(a, 400, "invalid_request", "Identity not found");
	(void)snprintf(rq->caller.name, sizeof(rq->caller.name), "%s", id.name);
	(void)snprintf(rq->caller.client_id, sizeof(rq->caller.client_id), "%s", id.client_id);
	return answer_token(imds, rq, &id, a);
}

static bool handle(const struct imds *imds, struct request *rq, struct MHD_Connection *c)
{
	CLEANUP(answer_release) struct answer a = { .status = 500, .content_type = "text/plain" };
	struct fault_set faults = { 0 };
	int r = 0;

	if (imds->vault->faults_allowed)
		r = fault_take(rq->db, rq->path, &faults);
	if (faults.on[FAULT_DROP])
		return false;
	if (faults.on[FAULT_STATUS])
		r = error(&a, (unsigned)strtoul(faults.value[FAULT_STATUS], NULL, 10), "unknown",
			  "A fault was asked for");
	else if (r == 0)
		r = serve(imds, rq, c, &a);
	if (r < 0)
		r = error(&a, 500, "unknown", "Try again later");
	if (r == 0)
		r = audit_call(rq, &a, false);
	if (r < 0) {
		log_error("managed identity: %s", errno_text(r));
		return false;
	}
	return reply_send(c, rq, &a, &faults);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_len, void **state)
{
	struct imds *imds = cls;
	struct request rq = { .vault = imds->vault,
			      .method = method,
			      .operation = "ManagedIdentity" };
	bool sent = false;

	(void)version, (void)upload_data;
	if (!*state) {
		*state = imds;
		return MHD_YES;
	}
	if (*upload_len) {
		*upload_len = 0;
		return MHD_YES;
	}
	if (dbpool_get(imds->pool, &rq.db) < 0)
		return MHD_NO;
	rq.now = vault_now(imds->vault, rq.db);
	(void)snprintf(rq.path, sizeof(rq.path), "%s", url);
	(void)snprintf(rq.client, sizeof(rq.client), "127.0.0.1");
	if (random_uuid(rq.id) == 0)
		sent = handle(imds, &rq, c);
	dbpool_put(imds->pool, rq.db);
	return sent ? MHD_YES : MHD_NO;
}

int imds_start(struct imds *imds, struct errmsg *reterr)
{
	char address[64], text[64];
	int fd, r;

	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", imds->config.port);
	r = listen_on(address, &fd, text, sizeof(text), reterr);
	if (r < 0)
		return r;
	imds->port = (unsigned)strtoul(strrchr(text, ':') + 1, NULL, 10);
	imds->daemon =
		MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0,
				 NULL, NULL, on_request, imds, MHD_OPTION_LISTEN_SOCKET, fd,
				 MHD_OPTION_CONNECTION_LIMIT, 64U, MHD_OPTION_CONNECTION_TIMEOUT,
				 30U, MHD_OPTION_END);
	if (imds->daemon)
		return 0;
	close(fd);
	return errmsg_fail(reterr, -EIO, EXIT_CODE_FAILED, "%s: cannot serve managed identities",
			   text);
}

void imds_stop(struct imds *imds)
{
	if (imds->daemon)
		MHD_stop_daemon(imds->daemon);
	imds->daemon = NULL;
}
