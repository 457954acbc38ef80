/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by libcurl. */
#include "tdefs/net.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#define HEADER_LINE_MAX 8192
#define USER_AGENT	"tdefs/" TDEFS_VERSION

struct net {
	CURL *curl;
};

/* What curl frees was a request or an answer: keys and tokens among it. */
static void wipe_and_free(void *p)
{
	if (p)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}

static void *grow_and_wipe(void *p, size_t len)
{
	void *q = malloc(len);
	size_t old = p ? malloc_usable_size(p) : 0;

	if (!q)
		return NULL;
	if (p)
		memcpy(q, p, old < len ? old : len);
	wipe_and_free(p);
	return q;
}

int net_init(void)
{
	return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_and_free, grow_and_wipe,
				    strdup, calloc) == CURLE_OK
		       ? 0
		       : -EIO;
}

struct net *net_new(void)
{
	struct net *n = malloc(sizeof(*n));

	if (!n)
		return NULL;
	n->curl = curl_easy_init();
	if (!n->curl) {
		free(n);
		return NULL;
	}
	return n;
}

void net_free(struct net *n)
{
	if (!n)
		return;
	curl_easy_cleanup(n->curl);
	free(n);
}

void net_answer_release(struct net_answer *a)
{
	secret_free(a->body);
	*a = (struct net_answer){ 0 };
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
	struct net_answer *a = arg;
	size_t len = size * count;

	if (len > secret_len(a->body) - a->body_len) {
		a->failure = NET_TOO_LARGE;
		return 0;
	}
	memcpy(secret_bytes(a->body) + a->body_len, data, len);
	a->body_len += len;
	return len;
}

static bool take_header(const char *line, size_t len, const char *name, char *out, size_t room)
{
	size_t name_len = strlen(name);

	if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
		return false;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len > 0 && strchr(" \t\r\n", line[len - 1]))
		len--;
	(void)snprintf(out, room, "%.*s", (int)len, line);
	return true;
}

/* Fields that come more than once are one list (RFC 9110, 5.3). */
static void take_list(const char *line, size_t len, const char *name, char *out, size_t room)
{
	size_t at = strlen(out);

	if (at == 0) {
		take_header(line, len, name, out, room);
	} else if (at + 2 < room && take_header(line, len, name, out + at + 2, room - at - 2)) {
		out[at] = ',';
		out[at + 1] = ' ';
	}
}

static size_t take_headers(char *line, size_t size, size_t count, void *arg)
{
	struct net_answer *a = arg;
	size_t len = size * count;
	const struct {
		const char *name;
		char *out;
		size_t room;
	} wanted[] = {
		{ "content-type", a->content_type, sizeof(a->content_type) },
		{ "retry-after", a->retry_after, sizeof(a->retry_after) },
		{ "x-ms-request-id", a->request_id, sizeof(a->request_id) },
		{ "x-ms-keyvault-network-info", a->network_info, sizeof(a->network_info) },
		{ "x-ms-keyvault-region", a->region, sizeof(a->region) },
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (take_header(line, len, wanted[i].name, wanted[i].out, wanted[i].room))
			break;
	take_list(line, len, "www-authenticate", a->www_authenticate, sizeof(a->www_authenticate));
	return len;
}

static enum net_failure failure_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return NET_ANSWERED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return NET_NOT_RESOLVED;
	case CURLE_COULDNT_CONNECT:
		return NET_NOT_CONNECTED;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return NET_NOT_TRUSTED;
	case CURLE_OPERATION_TIMEDOUT:
		return NET_TIMED_OUT;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return NET_LOCAL;
	default:
		return NET_CUT_OFF;
	}
}

static void cleanup_list(struct curl_slist **list)
{
	curl_slist_free_all(*list); /* wiped by wipe_and_free() */
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
	char line[HEADER_LINE_MAX];
	bool good = snprintf(line, sizeof(line), "%s: %s", name, value) < (int)sizeof(line) &&
		    !strpbrk(value, "\r\n"); /* curl sends them as they are */
	struct curl_slist *longer = good ? curl_slist_append(*list, line) : NULL;

	secret_wipe(line, sizeof(line));
	if (!longer)
		return good ? -ENOMEM : -EINVAL;
	*list = longer;
	return 0;
}

static int add_headers(struct curl_slist **list, const struct net_request *r)
{
	int rc = add_header(list, "Accept", "application/json");

	if (rc == 0 && r->body)
		rc = add_header(list, "Content-Type", r->content_type);
	for (size_t i = 0; rc == 0 && i < NET_HEADERS_MAX && r->headers[i].name; i++)
		rc = add_header(list, r->headers[i].name, r->headers[i].value);
	return rc;
}

/* curl copies the token; its copy is wiped with the handle's options. */
static CURLcode set_bearer(CURL *c, const struct secret *token)
{
	CLEANUP_SECRET struct secret *text = secret_new(secret_len(token) + 1);
	CURLcode code;

	if (!text)
		return CURLE_OUT_OF_MEMORY;
	memcpy(secret_bytes(text), secret_view(token), secret_len(token));
	code = curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
	if (code == CURLE_OK)
		code = curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, secret_view(text));
	return code;
}

static CURLcode set_body(CURL *c, const struct net_request *r)
{
	CURLcode code = CURLE_OK;

	if (strcmp(r->method, "POST") != 0)
		return curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
	code = curl_easy_setopt(c, CURLOPT_POST, 1L);
	if (code == CURLE_OK)
		code = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE,
					r->body ? (long)secret_len(r->body) : 0L);
	if (code == CURLE_OK)
		code = curl_easy_setopt(c, CURLOPT_POSTFIELDS,
					r->body ? (const char *)secret_view(r->body) : "");
	return code;
}

#define SET(option, value)                                                                         \
	do {                                                                                       \
		CURLcode code_ = curl_easy_setopt(c, option, value);                               \
		if (code_ != CURLE_OK)                                                             \
			return code_;                                                              \
	} while (0)

static int progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct net_request *r = arg;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return r->cancelled(r->cancelled_arg);
}

static CURLcode set_cancelled(CURL *c, const struct net_request *r)
{
	if (!r->cancelled)
		return CURLE_OK;
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, progress);
	SET(CURLOPT_XFERINFODATA, r);
	return CURLE_OK;
}

static CURLcode set_transport(CURL *c, const struct net_request *r)
{
	SET(CURLOPT_URL, r->secret_url ? (const char *)secret_view(r->secret_url) : r->url);
	SET(CURLOPT_PROTOCOLS_STR, r->plain_http ? "http" : "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_USERAGENT, USER_AGENT);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_timeout_ms);
	SET(CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	if (r->plain_http)
		SET(CURLOPT_PROXY, "");
	if (r->ca_file) {
		SET(CURLOPT_CAINFO, r->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	return CURLE_OK;
}

static CURLcode set_answer(CURL *c, struct net_answer *a, char *error)
{
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, a);
	SET(CURLOPT_HEADERFUNCTION, take_headers);
	SET(CURLOPT_HEADERDATA, a);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's are not the peer's */
	SET(CURLOPT_ERRORBUFFER, error);
	return CURLE_OK;
}

static CURLcode perform(CURL *c, const struct net_request *r, struct net_answer *a, char *error)
{
	CLEANUP(cleanup_list) struct curl_slist *headers = NULL;
	CURLcode code = set_transport(c, r);
	long status = 0;

	if (code == CURLE_OK)
		code = set_answer(c, a, error);
	if (code == CURLE_OK)
		code = set_cancelled(c, r);
	if (code == CURLE_OK)
		code = set_body(c, r);
	if (code == CURLE_OK && r->bearer)
		code = set_bearer(c, r->bearer);
	if (code != CURLE_OK)
		return code;
	if (add_headers(&headers, r) < 0)
		return CURLE_BAD_FUNCTION_ARGUMENT;
	SET(CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(c);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	a->status = (int)status;
	return code;
}

void net_perform(struct net *n, const struct net_request *r, struct net_answer *ret_answer)
{
	char error[CURL_ERROR_SIZE] = "";
	CURLcode code;

	*ret_answer = (struct net_answer){ .body = secret_new(r->answer_max) };
	if (!ret_answer->body) {
		ret_answer->failure = NET_LOCAL;
		(void)snprintf(ret_answer->reason, sizeof(ret_answer->reason), "out of memory");
		return;
	}
	code = perform(n->curl, r, ret_answer, error);
	curl_easy_reset(n->curl); /* forgets the token; connections stay */
	if (ret_answer->failure == NET_ANSWERED)
		ret_answer->failure = failure_of(code);
	if (ret_answer->failure != NET_ANSWERED)
		(void)snprintf(ret_answer->reason, sizeof(ret_answer->reason), "%s",
			       error[0] && !r->secret_url ? error : curl_easy_strerror(code));
}

const char *net_failure_text(enum net_failure failure)
{
	static const char *const texts[] = {
		[NET_ANSWERED] = "answered",
		[NET_NOT_RESOLVED] = "the host name is not known",
		[NET_NOT_CONNECTED] = "no connection",
		[NET_NOT_TRUSTED] = "TLS failed",
		[NET_TIMED_OUT] = "no answer in time",
		[NET_CUT_OFF] = "the answer broke off",
		[NET_TOO_LARGE] = "the answer is too long",
		[NET_LOCAL] = "the request could not be made",
	};

	return texts[failure];
}
