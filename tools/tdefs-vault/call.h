/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request: what it asks, what happens, what is sent, faults for tests included. */
#ifndef TDEFS_VAULT_CALL_H
#define TDEFS_VAULT_CALL_H

#include "http.h"

struct MHD_Connection;

/*
 * `body` NULL: it was too large. True when an answer was queued; false: close the
 * connection without one.
 */
bool call_serve(struct http *http, struct MHD_Connection *connection, const char *method,
		const char *url, const char *body, size_t body_len);

#endif
