/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics for a scraper: GET /metrics by HTTP on a loopback address or a local
 * socket, in a thread of its own. One connection, one request, one answer at a
 * time, bounded in length and time.
 *
 * It never keeps a volume down: while its place is taken it tries again, and
 * the volume's status says so.
 */
#ifndef TDEFS_METRICS_SERVER_H
#define TDEFS_METRICS_SERVER_H

#include "tdefs/control.h"

#define METRICS_REQUEST_MAX 8192 /* of a request's line and fields */

/* The status of the answer to a request's first line: 200, 400, 404 or 405. Pure. */
int metrics_http_status(const char *request, size_t len, bool *ret_head);

struct metrics_server;

/*
 * Serve at `listen` (settings.metrics_listen), as context->metrics. Before other
 * threads see the context, which outlives it.
 */
void metrics_server_start(struct control_context *context, const char *listen);
void metrics_server_stop(struct metrics_server *s); /* accepts NULL */

/* 0: it serves, or there is none; else why it does not, as a negative errno. Thread-safe. */
int metrics_server_error(const struct metrics_server *s);

#endif
