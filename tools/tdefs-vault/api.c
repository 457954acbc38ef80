/* SPDX-License-Identifier: Apache-2.0 */
/* From method and path to an operation, past every check on the way. */
#include "api.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "identity.h"
#include "token.h"

#define MAX_SEGMENTS 5

/* By age; previews stand where their contents do. */
static const char *const api_versions[] = {
	"2015-06-01",	 "2016-10-01",
	"7.0-preview",	 "7.0",
	"7.1-preview",	 "7.1",
	"7.2-preview",	 "7.2",
	"7.3-preview",	 "7.3",
	"7.4-preview.1", "7.4",
	"7.5-preview.1", "7.5",
	"7.6-preview.1", "7.6-preview.2",
	"7.6",		 "2025-06-01-preview",
	"2025-07-01",	 "2026-03-01-preview",
};
#define NEWEST_STABLE "2025-07-01"

/*
 * {n} is a key's name, {v} a version, which may be empty; other segments are
 * matched without regard to case. The first that fits counts.
 */
static const struct route {
	const char *method, *pattern;
	const char *permission;
	const char *operation; /* in the audit log, as Azure's logs name it */
	int (*run)(struct request *rq, struct answer *a);
} routes[] = {
	{ "GET", "keys", "list", "KeyList", op_list_keys },
	{ "GET", "deletedkeys", "list", "KeyListDeleted", op_list_deleted },
	{ "POST", "keys/restore", "restore", "KeyRestore", op_restore },
	{ "PUT", "keys/{n}", "import", "KeyImport", op_import },
	{ "GET", "keys/{n}", "get", "KeyGet", op_get },
	{ "DELETE", "keys/{n}", "delete", "KeyDelete", op_delete },
	{ "PATCH", "keys/{n}", "update", "KeyUpdate", op_update },
	{ "POST", "keys/{n}/create", "create", "KeyCreate", op_create },
	{ "POST", "keys/{n}/rotate", "rotate", "KeyRotate", op_rotate },
	{ "POST", "keys/{n}/backup", "backup", "KeyBackup", op_backup },
	{ "GET", "keys/{n}/versions", "list", "KeyListVersions", op_list_versions },
	{ "GET", "keys/{n}/rotationpolicy", "rotationPolicy", "KeyRotationPolicyGet",
	  op_get_policy },
	{ "PUT", "keys/{n}/rotationpolicy", "rotationPolicy", "KeyRotationPolicySet",
	  op_set_policy },
	{ "POST", "keys/{n}/wrapkey", "wrapKey", "KeyWrap", op_wrap },
	{ "POST", "keys/{n}/unwrapkey", "unwrapKey", "KeyUnwrap", op_unwrap },
	{ "POST", "keys/{n}/encrypt", "encrypt", "KeyEncrypt", op_encrypt },
	{ "POST", "keys/{n}/decrypt", "decrypt", "KeyDecrypt", op_decrypt },
	{ "POST", "keys/{n}/sign", "sign", "KeySign", op_sign },
	{ "POST", "keys/{n}/verify", "verify", "KeyVerify", op_verify },
	{ "GET", "keys/{n}/{v}", "get", "KeyGet", op_get },
	{ "PATCH", "keys/{n}/{v}", "update", "KeyUpdate", op_update },
	{ "POST", "keys/{n}/{v}/wrapkey", "wrapKey", "KeyWrap", op_wrap },
	{ "POST", "keys/{n}/{v}/unwrapkey", "unwrapKey", "KeyUnwrap", op_unwrap },
	{ "POST", "keys/{n}/{v}/encrypt", "encrypt", "KeyEncrypt", op_encrypt },
	{ "POST", "keys/{n}/{v}/decrypt", "decrypt", "KeyDecrypt", op_decrypt },
	{ "POST", "keys/{n}/{v}/sign", "sign", "KeySign", op_sign },
	{ "POST", "keys/{n}/{v}/verify", "verify", "KeyVerify", op_verify },
	{ "GET", "deletedkeys/{n}", "get", "KeyGetDeleted", op_get_deleted },
	{ "POST", "deletedkeys/{n}/recover", "recover", "KeyRecover", op_recover },
	{ "DELETE", "deletedkeys/{n}", "purge", "KeyPurge", op_purge },
};

int api_version_index(const char *version)
{
	for (size_t i = 0; i < ARRAY_SIZE(api_versions); i++)
		if (strcmp(api_versions[i], version) == 0)
			return (int)i;
	return -1;
}

bool api_at_least(int api, const char *version)
{
	return api >= api_version_index(version);
}

int api_newest(void)
{
	return api_version_index(NEWEST_STABLE);
}

struct path {
	char text[1024];
	const char *segment[MAX_SEGMENTS];
	size_t count;
};

/* Split at slashes; one final slash more or less is the same path. */
static bool split_path(const char *from, struct path *p)
{
	char *at = p->text;
	size_t len;

	(void)snprintf(p->text, sizeof(p->text), "%s", from + (*from == '/'));
	len = strlen(p->text);
	if (len && p->text[len - 1] == '/')
		p->text[len - 1] = '\0';
	for (p->count = 0; at; p->count++) {
		char *slash = strchr(at, '/');

		if (p->count == MAX_SEGMENTS)
			return false;
		if (slash)
			*slash++ = '\0';
		p->segment[p->count] = at;
		at = slash;
	}
	return true;
}

static bool pattern_fits(const char *pattern, const struct path *p, const char **ret_name,
			 const char **ret_version)
{
	size_t i = 0;

	for (const char *at = pattern; *at; i++) {
		size_t len = strcspn(at, "/");

		if (i == p->count)
			return false;
		if (strncmp(at, "{n}", len) == 0)
			*ret_name = p->segment[i];
		else if (strncmp(at, "{v}", len) == 0)
			*ret_version = p->segment[i];
		else if (strlen(p->segment[i]) != len || strncasecmp(at, p->segment[i], len) != 0)
			return false;
		at += len + (at[len] == '/');
	}
	return i == p->count;
}

static const struct route *find_route(struct request *rq)
{
	struct path p;

	if (!split_path(rq->path, &p))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const char *name = "", *version = "";

		if (strcmp(routes[i].method, rq->method) != 0 ||
		    !pattern_fits(routes[i].pattern, &p, &name, &version))
			continue;
		/* A name that does not fit is kept as one that is refused. */
		(void)snprintf(rq->name, sizeof(rq->name), "%s", name);
		(void)snprintf(rq->version, sizeof(rq->version), "%s", version);
		rq->operation = routes[i].operation;
		rq->permission = routes[i].permission;
		return &routes[i];
	}
	return NULL;
}

static const char *caller_text(const struct request *rq, char *out, size_t len)
{
	(void)snprintf(out, len, "appid=%s;oid=%s;iss=%s", rq->caller.client_id, rq->caller.oid,
		       rq->caller.issuer);
	return out;
}

static int check_firewall(struct request *rq, struct answer *a)
{
	char caller[512];
	bool allowed;
	int r = firewall_allows(rq->db, rq->client, &allowed);

	if (r < 0 || allowed)
		return r;
	r = answer_error(a, 403, "Forbidden", "ForbiddenByFirewall",
			 "Client address is not authorized and caller is not a trusted service.\r\n"
			 "Client address: %s\r\nCaller: %s\r\nVault: %s;location=" VAULT_LOCATION,
			 rq->client, caller_text(rq, caller, sizeof(caller)), rq->vault->name);
	return r < 0 ? r : ANSWERED;
}

static int check_policy(struct request *rq, struct answer *a)
{
	char caller[512];
	uint32_t bits = 0;
	bool any;
	int r = permissions_of(rq->db, rq->caller.client_id, rq->name[0] ? rq->name : NULL, &bits,
			       &any);

	if (r < 0 || (bits & permission_bit(rq->permission)))
		return r;
	caller_text(rq, caller, sizeof(caller));
	if (!any)
		r = answer_error(a, 403, "Forbidden", "AccessDenied",
				 "Access denied. Caller was not found on any access policy.\r\n"
				 "Caller: %s\r\nVault: %s;location=" VAULT_LOCATION,
				 caller, rq->vault->name);
	else
		r = answer_error(a, 403, "Forbidden", "ForbiddenByPolicy",
				 "The user, group or application '%s' does not have keys %s "
				 "permission on key "
				 "vault '%s;location=" VAULT_LOCATION
				 "'. For help resolving this issue, please see "
				 "https://go.microsoft.com/fwlink/?linkid=2125287",
				 caller, rq->permission, rq->vault->name);
	return r < 0 ? r : ANSWERED;
}

static int check_version(struct request *rq, struct answer *a)
{
	int r;

	if (!rq->query_version) {
		r = answer_bad_parameter(a, "api-version must be specified");
		return r < 0 ? r : ANSWERED;
	}
	rq->api = api_version_index(rq->query_version);
	if (rq->api >= 0)
		return 0;
	r = answer_bad_parameter(
		a,
		"The specified version (%.32s) is not recognized. Consider using the "
		"latest supported version (" NEWEST_STABLE ").",
		rq->query_version);
	return r < 0 ? r : ANSWERED;
}

/* 1–127 letters, digits and dashes. */
static int check_name(struct request *rq, struct answer *a, const struct route *route)
{
	const char *p = rq->name;
	int r;

	if (!strstr(route->pattern, "{n}"))
		return 0;
	while (isalnum((unsigned char)*p) || *p == '-')
		p++;
	if (p == rq->name && *p == '\0')
		r = answer_bad_parameter(a, "Operation not specified");
	else if (*p || p - rq->name > KEY_NAME_MAX)
		r = answer_bad_parameter(a, "The request URI contains an invalid name: %s",
					 rq->name);
	else
		return 0;
	return r < 0 ? r : ANSWERED;
}

static int parse_body(struct request *rq, struct answer *a)
{
	int r;

	if (rq->body || rq->raw_len == 0)
		return 0;
	rq->body = json_loadb(rq->raw, rq->raw_len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(rq->body))
		return 0;
	r = answer_bad_parameter(a, "The request body is not a JSON object.");
	return r < 0 ? r : ANSWERED;
}

static int no_such_operation(struct answer *a, const struct request *rq)
{
	/* What Azure says of POST /keys//create and of operations it does not know. */
	if (strcmp(rq->method, "POST") == 0 && strncasecmp(rq->path, "/keys/", 6) == 0)
		return answer_bad_parameter(a, "Operation not specified");
	return answer_error(a, 404, "NotFound", NULL, "Resource not found.");
}

static int check_caller(struct request *rq, struct answer *a)
{
	int r = rq->caller.local ? 0 : token_check(rq, a);

	if (r == 0 && !rq->caller.local)
		r = check_firewall(rq, a);
	return r;
}

static int call(struct request *rq, struct answer *a)
{
	const struct route *route = find_route(rq);
	int r = check_caller(rq, a);

	if (r != 0)
		return r;
	if (!route)
		return no_such_operation(a, rq);
	r = check_version(rq, a);
	if (r == 0)
		r = check_name(rq, a, route);
	if (r == 0 && !rq->caller.local)
		r = check_policy(rq, a);
	if (r == 0)
		r = parse_body(rq, a);
	if (r != 0)
		return r;
	if (strstr(route->pattern, "{n}"))
		key_kid(rq, rq->name, rq->version, a->kid, sizeof(a->kid));
	r = key_purge_expired(rq->db, rq->now);
	return r < 0 ? r : route->run(rq, a);
}

void api_call(struct request *rq, struct answer *a)
{
	int r = call(rq, a);

	db_rollback(rq->db); /* whatever an operation left open when it refused */
	if (r < 0)
		r = answer_internal(a, rq, r);
	if (r < 0) { /* no memory even for that */
		a->status = 503;
		a->content_type = "text/plain";
	}
}
