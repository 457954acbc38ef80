/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the vault, from HTTP or from a local command, and its answer.
 *
 * Operations answer 0 when `answer` says what happened, an error of the
 * protocol included, or a negative errno when the vault itself is in trouble,
 * which becomes a 5xx. Steps of an operation answer ANSWERED when they refused
 * and the operation is over.
 */
#ifndef TDEFS_VAULT_REQUEST_H
#define TDEFS_VAULT_REQUEST_H

#include <jansson.h>

#include "vault.h"

#define ANSWERED     1
#define KEY_NAME_MAX 127
#define KEY_NAME_LEN (KEY_NAME_MAX + 2) /* with NUL, and one that shows it was longer */
#define VERSION_LEN  33

/* Who calls. Local callers are root on this machine and bound by no policy. */
struct caller {
	bool local;
	uid_t uid;
	char name[128]; /* the identity's, or "local" */
	char client_id[UUID_TEXT_LEN], oid[UUID_TEXT_LEN];
	char issuer[400];
};

struct request {
	const struct vault *vault;
	sqlite3 *db;
	int64_t now;
	char id[UUID_TEXT_LEN];
	char client_request_id[64];
	const char *method;
	char path[1024];      /* decoded */
	char base[300];	      /* https://HOST[:PORT] for identifiers */
	char client[64];      /* address */
	char client_net[160]; /* the same for x-ms-keyvault-network-info */
	const char *authorization;
	const char *query_version; /* api-version as given, or NULL */
	const char *skip_token;
	const char *max_results;
	int api;	 /* index in the list of versions */
	const char *raw; /* the body */
	size_t raw_len;
	json_t *body; /* the same, when it is a JSON object */
	struct caller caller;

	/* what the path names */
	char name[KEY_NAME_LEN];
	char version[VERSION_LEN + 1]; /* the same */
	const char *operation;	       /* for the audit log */
	const char *permission;
};

struct answer {
	unsigned status;
	char *text; /* wiped when freed */
	size_t len;
	const char *content_type;
	char authenticate[600]; /* WWW-Authenticate, or empty */
	char result[64];	/* for the audit log */
	char kid[512];		/* the same: the key it was about */
};

void request_release(struct request *rq);
void answer_release(struct answer *a);

/* Take the reference; 200 with that body. */
int answer_json(struct answer *a, json_t *object) WARN_UNUSED;
int answer_text(struct answer *a, unsigned status, const char *content_type,
		const char *text) WARN_UNUSED;

/* {"error":{code,message,innererror}}; `inner` may be NULL. Returns 0. */
int answer_error(struct answer *a, unsigned status, const char *code, const char *inner,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The protocol's usual ones, worded as Azure words them. Each returns 0. */
int answer_bad_parameter(struct answer *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int answer_key_not_found(struct answer *a, const struct request *rq);
int answer_deleted_key_not_found(struct answer *a, const struct request *rq);
int answer_internal(struct answer *a, const struct request *rq, int r);

/* json_t references that end with their scope. */
static inline void cleanup_json_(json_t **j)
{
	json_decref(*j);
}
#define CLEANUP_JSON CLEANUP(cleanup_json_)

#endif
