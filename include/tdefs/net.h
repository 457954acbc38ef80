/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bounded HTTPS request at a time: TLS 1.2 or newer and always verified, no
 * redirects, an answer of at most so many bytes, received into secret memory.
 * Knows nothing of what it carries. This folder is the only one to see curl.
 */
#ifndef TDEFS_NET_H
#define TDEFS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/secret.h"

/* Why there is no answer; each but NET_LOCAL is the network's or the peer's doing. */
enum net_failure {
	NET_ANSWERED,
	NET_NOT_RESOLVED,
	NET_NOT_CONNECTED,
	NET_NOT_TRUSTED, /* TLS: certificate, host name, protocol */
	NET_TIMED_OUT,
	NET_CUT_OFF,   /* the answer ended early, or is none */
	NET_TOO_LARGE, /* the answer is longer than `answer_max` */
	NET_LOCAL,     /* out of memory, or an unusable request */
};

struct net_header {
	const char *name, *value;
};

#define NET_HEADERS_MAX 4

struct net_request {
	const char *method; /* GET or POST */
	const char *url;
	const struct secret *secret_url; /* instead of `url`, ended by a zero; no reason tells it */
	struct net_header headers[NET_HEADERS_MAX]; /* up to the first without a name */
	const struct secret *bearer;		    /* Authorization: Bearer; or NULL */
	const char *content_type;		    /* of the body */
	const struct secret *body;		    /* or NULL */
	const char *ca_file;			    /* instead of the system's roots; or NULL */
	bool plain_http; /* http: metadata endpoints of this machine; never through a proxy */
	unsigned connect_timeout_ms, timeout_ms;
	size_t answer_max; /* bytes of the body */
	/* Whether to give up; asked about once a second, on the caller's thread. Or NULL. */
	bool (*cancelled)(void *arg);
	void *cancelled_arg;
};

/* Header fields that anyone above asks for; "" when absent, cut off when too long. */
struct net_answer {
	enum net_failure failure;
	char reason[256]; /* of a failure, for people */
	int status;
	char content_type[80];
	char www_authenticate[1024];
	char retry_after[64];
	char request_id[80];	/* x-ms-request-id */
	char network_info[160]; /* x-ms-keyvault-network-info */
	char region[48];	/* x-ms-keyvault-region */
	struct secret *body;	/* NULL: none; longer than what was received */
	size_t body_len;
};

/* Once, before any thread is started and any other call of this module. */
int net_init(void) WARN_UNUSED;

/* Connections that are kept open for the next request. Not thread-safe: one a thread at a time. */
struct net;

struct net *net_new(void) WARN_UNUSED; /* NULL: no memory */
void net_free(struct net *n);	       /* accepts NULL */

/* Ask, and wait for the answer or `timeout_ms`. The answer is the caller's to release. */
void net_perform(struct net *n, const struct net_request *request, struct net_answer *ret_answer);
void net_answer_release(struct net_answer *a); /* wipes; accepts one that is zero */

const char *net_failure_text(enum net_failure failure);

#endif
