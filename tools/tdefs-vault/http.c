/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd: connections and bodies in, answers out. What is asked is call.c's. */
#include "http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tdefs/log.h"

#include "call.h"
#include "tls.h"

#define BODY_MAX     (64U << 10)
#define RESTORE_MAX  (2U << 20)
#define BODIES_MAX   (64U << 20) /* of all requests together */
#define IDLE_SECONDS 120U
#define STACK_BYTES  (1U << 20)
#define HEADER_BYTES (32U << 10)
#define LIMIT_MARGIN 64U /* the acceptor keeps the limit; MHD counts a little later */

/* One request while it comes in. */
struct incoming {
	struct http *http;
	char *body;
	size_t len, room, max;
	bool too_big;
};

__attribute__((format(printf, 2, 0))) static void log_mhd(void *cls, const char *fmt, va_list args)
{
	char line[512];
	size_t len;

	(void)cls;
	(void)vsnprintf(line, sizeof(line), fmt, args);
	len = strlen(line);
	if (len && line[len - 1] == '\n')
		line[len - 1] = '\0';
	/* Clients that hang up or speak no TLS are everyday matters. */
	if (!strstr(line, "TLS") && !strstr(line, "connection") && !strstr(line, "socket"))
		log_warning("http: %s", line);
}

/* Room is taken from one budget, so that many large bodies cannot exhaust memory. */
static bool reserve(struct incoming *in, size_t room)
{
	size_t more = room - in->room;
	char *body;

	if (atomic_fetch_add(&in->http->body_bytes, more) + more > BODIES_MAX ||
	    !(body = malloc(room + 1))) {
		atomic_fetch_sub(&in->http->body_bytes, more);
		return false;
	}
	if (in->len)
		memcpy(body, in->body, in->len);
	if (in->body)
		secret_wipe(in->body, in->len);
	free(in->body);
	in->body = body;
	in->room = room;
	return true;
}

static void take_upload(struct incoming *in, const char *data, size_t len)
{
	if (in->too_big)
		return;
	if (len > in->max - in->len) {
		in->too_big = true;
		return;
	}
	if (in->len + len > in->room) {
		size_t room = in->room ? in->room * 2 : 4096;

		while (room < in->len + len)
			room *= 2;
		if (!reserve(in, room)) {
			in->too_big = true;
			return;
		}
	}
	memcpy(in->body + in->len, data, len);
	in->len += len;
}

static void incoming_free(struct incoming *in)
{
	if (in->body)
		secret_wipe(in->body, in->len);
	free(in->body);
	atomic_fetch_sub(&in->http->body_bytes, in->room);
	free(in);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_len, void **state)
{
	struct http *http = cls;
	struct incoming *in = *state;

	(void)version;
	if (!in) {
		in = calloc(1, sizeof(*in));
		if (!in)
			return MHD_NO;
		in->http = http;
		in->max = strcasecmp(url, "/keys/restore") == 0 ? RESTORE_MAX : BODY_MAX;
		*state = in;
		return MHD_YES;
	}
	if (*upload_len) {
		take_upload(in, upload_data, *upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	return call_serve(http, connection, method, url,
			  in->too_big ? NULL
			  : in->body  ? in->body
				      : "",
			  in->len)
		       ? MHD_YES
		       : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	(void)cls, (void)connection, (void)code;
	if (*state)
		incoming_free(*state);
	*state = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *http = cls;

	(void)connection, (void)context;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED)
		acceptor_closed(&http->acceptor);
}

static struct MHD_Daemon *start_daemon(struct http *http)
{
	unsigned flags = MHD_USE_TLS | MHD_USE_THREAD_PER_CONNECTION |
			 MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG |
			 MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET;

	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER,
				log_mhd, NULL, MHD_OPTION_HTTPS_CERT_CALLBACK, tls_retrieve,
				MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
				MHD_OPTION_CONNECTION_LIMIT, http->max_clients + LIMIT_MARGIN,
				MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
				MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
				MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

int http_start(struct http *http, int fd)
{
	int r;

	pthread_mutex_init(&http->lock, NULL);
	pthread_cond_init(&http->stop, NULL);
	atomic_init(&http->body_bytes, 0);
	acceptor_init(&http->acceptor, fd, http->max_clients);
	http->daemon = start_daemon(http);
	r = http->daemon ? acceptor_start(&http->acceptor, http->daemon) : -EIO;
	if (r == 0)
		return 0;
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
	close(fd);
	return r;
}

void http_stop(struct http *http)
{
	{
		LOCK_SCOPE(&http->lock);

		http->stopping = true;
		pthread_cond_broadcast(&http->stop);
	}
	acceptor_stop(&http->acceptor);
	MHD_stop_daemon(http->daemon);
	acceptor_release(&http->acceptor);
	pthread_cond_destroy(&http->stop);
	pthread_mutex_destroy(&http->lock);
}
