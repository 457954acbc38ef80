/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its answer. Reading bytes is http.c's, operations are api.c's. */
#include "call.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tdefs/log.h"

#include "api.h"
#include "audit.h"
#include "fault.h"
#include "oauth.h"
#include "reply.h"

static const char *argument(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
}

static const char *header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static void set_client(struct request *rq, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info ? info->client_addr : NULL;
	const char *family = "InterNetwork", *kind = "Ipv4";

	(void)snprintf(rq->client, sizeof(rq->client), "?");
	if (sa && sa->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
				rq->client, sizeof(rq->client));
	} else if (sa && sa->sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6,
				&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
				rq->client, sizeof(rq->client));
		family = "InterNetworkV6";
		kind = "Ipv6";
	}
	if (strncmp(rq->client, "::ffff:", 7) == 0)
		memmove(rq->client, rq->client + 7, strlen(rq->client + 7) + 1);
	(void)snprintf(rq->client_net, sizeof(rq->client_net),
		       "conn_type=%s;addr=%s;act_addr_fam=%s;", kind, rq->client, family);
}

/* The caller's own name for this host, when it looks like one: identifiers must lead back. */
static void set_base(struct request *rq, const char *host)
{
	size_t len = host ? strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789.-:[]")
			  : 0;

	if (len && len < 260 && host[len] == '\0')
		(void)snprintf(rq->base, sizeof(rq->base), "https://%s", host);
	else
		(void)snprintf(rq->base, sizeof(rq->base), "%s", rq->vault->url);
}

/* POST may stand for another method (X-HTTP-METHOD). */
static const char *true_method(struct MHD_Connection *c, const char *method)
{
	const char *override = header(c, "X-HTTP-METHOD");

	if (override && strcmp(method, "POST") == 0) {
		if (strcasecmp(override, "PATCH") == 0)
			return "PATCH";
		if (strcasecmp(override, "DELETE") == 0)
			return "DELETE";
	}
	return method;
}

static int fill_request(struct request *rq, struct MHD_Connection *c, const char *method,
			const char *url)
{
	const char *id = header(c, "x-ms-client-request-id");

	rq->now = vault_now(rq->vault, rq->db);
	rq->method = true_method(c, method);
	rq->api = api_newest();
	(void)snprintf(rq->path, sizeof(rq->path), "%s", url);
	set_client(rq, c);
	set_base(rq, header(c, "Host"));
	rq->authorization = header(c, "Authorization");
	rq->query_version = argument(c, "api-version");
	rq->skip_token = argument(c, "$skiptoken");
	rq->max_results = argument(c, "maxresults");
	if (id && strspn(id, "0123456789abcdefABCDEF-") == strlen(id))
		(void)snprintf(rq->client_request_id, sizeof(rq->client_request_id), "%s", id);
	return random_uuid(rq->id);
}

/* Azure's front end refuses these before Key Vault sees them. */
static bool url_is_invalid(const char *url)
{
	for (const char *p = url; *p; p++)
		if (iscntrl((unsigned char)*p))
			return true;
	return strlen(url) >= 1000;
}

#define INVALID_URL                                                                                \
	"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/"         \
	"strict.dtd\">\r\n<HTML><HEAD><TITLE>Bad Request</TITLE>\r\n<META "                        \
	"HTTP-EQUIV=\"Content-Type\" Content=\"text/html; charset=us-ascii\"></HEAD>\r\n"          \
	"<BODY><h2>Bad Request - Invalid URL</h2>\r\n<hr><p>HTTP Error 400. The request URL is "   \
	"invalid.</p>\r\n</BODY></HTML>\r\n"

/* Whether the call belongs into the audit log: all but what has no caller. */
static bool dispatch(struct request *rq, struct answer *a, bool too_big)
{
	if (url_is_invalid(rq->path)) {
		IGNORE_RESULT(answer_text(a, 400, "text/html; charset=us-ascii", INVALID_URL),
			      "an empty 400 then");
		(void)snprintf(rq->path, sizeof(rq->path), "(invalid)");
	} else if (strcmp(rq->path, "/healthstatus") == 0) {
		IGNORE_RESULT(answer_text(a, 200, "application/json; charset=utf-8", "true"),
			      "an empty 200 then");
		return false;
	} else if (too_big) {
		(void)answer_error(a, 413, "RequestEntityTooLarge", NULL,
				   "The request body is too large.");
	} else if (oauth_is_path(rq->path)) {
		oauth_call(rq, a);
		return rq->operation != NULL;
	} else {
		api_call(rq, a);
	}
	return true;
}

static bool changes_state(const struct request *rq)
{
	static const char *const reads[] = { "get",	"list",	     "encrypt", "decrypt",
					     "wrapKey", "unwrapKey", "sign",	"verify" };

	for (size_t i = 0; i < ARRAY_SIZE(reads); i++)
		if (!rq->permission || strcmp(rq->permission, reads[i]) == 0)
			return false;
	return strcmp(rq->method, "GET") != 0;
}

static void write_audit(struct request *rq, struct answer *a)
{
	int r = audit_call(rq, a, a->status < 300 && changes_state(rq));

	if (r < 0) {
		log_error("the audit log cannot be written: %s; calls are refused until it can",
			  errno_text(r));
		(void)answer_internal(a, rq, r);
	}
}

/* Sleep, unless the server stops first. */
static void delay(struct http *http, long ms)
{
	struct timespec until;
	LOCK_SCOPE(&http->lock);

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!http->stopping &&
	       pthread_cond_timedwait(&http->stop, &http->lock, &until) != ETIMEDOUT)
		;
}

/* The next of the comma-separated parts; the last takes the rest. */
static const char *next_part(const char *at, bool last, char *out, size_t len)
{
	size_t n = last ? strlen(at) : strcspn(at, ",");

	(void)snprintf(out, len, "%.*s", (int)n, at);
	return at + n + (at[n] == ',');
}

/* "STATUS[,CODE[,INNER[,MESSAGE]]]" as an answer. */
static void fake_status(struct answer *a, const char *value)
{
	char number[8], code[64], inner[64], message[400];
	const char *at = next_part(value, false, number, sizeof(number));
	unsigned long status = strtoul(number, NULL, 10);
	bool throttled = status == 429;

	at = next_part(at, false, code, sizeof(code));
	at = next_part(at, false, inner, sizeof(inner));
	(void)next_part(at, true, message, sizeof(message));
	(void)answer_error(a, status >= 100 && status < 600 ? (unsigned)status : 500,
			   code[0]     ? code
			   : throttled ? "Throttled"
				       : "Fault",
			   inner[0] ? inner : NULL, "%s",
			   message[0]  ? message
			   : throttled ? "Request was not processed because too many requests were "
					 "received. Reason: VaultRequestTypeLimitReached"
				       : "A fault was asked for.");
}

static void run(struct request *rq, struct answer *a, const struct fault_set *faults, bool too_big)
{
	if (faults->on[FAULT_STATUS]) {
		fake_status(a, faults->value[FAULT_STATUS]);
		(void)snprintf(a->result, sizeof(a->result), "Fault");
		write_audit(rq, a);
	} else if (dispatch(rq, a, too_big)) {
		write_audit(rq, a);
	}
}

static bool serve(struct http *http, struct request *rq, struct MHD_Connection *c, bool too_big)
{
	CLEANUP(answer_release) struct answer a = { .status = 500, .content_type = "text/plain" };
	struct fault_set faults = { 0 };
	int r = 0;

	if (rq->vault->faults_allowed)
		r = fault_take(rq->db, rq->path, &faults);
	if (r < 0)
		log_error("faults cannot be read: %s", errno_text(r));
	if (faults.on[FAULT_DELAY]) {
		/* Others need the connection meanwhile. */
		dbpool_put(http->pool, TAKE_PTR(rq->db));
		delay(http, strtol(faults.value[FAULT_DELAY], NULL, 10));
		r = dbpool_get(http->pool, &rq->db);
		if (r < 0)
			return false;
	}
	if (faults.on[FAULT_DROP])
		return false;
	run(rq, &a, &faults, too_big);
	if (faults.on[FAULT_DROP_AFTER])
		return false;
	return reply_send(c, rq, &a, &faults);
}

bool call_serve(struct http *http, struct MHD_Connection *connection, const char *method,
		const char *url, const char *body, size_t body_len)
{
	CLEANUP(request_release)
	struct request rq = { .vault = http->vault, .raw = body, .raw_len = body_len };
	bool sent = false;

	if (dbpool_get(http->pool, &rq.db) < 0) {
		log_error("no database connection for a request");
		return false;
	}
	if (fill_request(&rq, connection, method, url) == 0)
		sent = serve(http, &rq, connection, !body);
	if (rq.db)
		dbpool_put(http->pool, rq.db);
	return sent;
}
