/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of keys, versions and deleted keys, a page at a time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "tdefs/base64url.h"

#define PAGE_MAX 25

/* How a list is read: what it selects, in an order that a token can take up again. */
struct list {
	const char *before, *after; /* the key's name in the path */
	const char *sql; /* ?1 the last item of the page before, ?2 limit, ?3 the key's name */
	bool by_version;
	bool deleted;
};

static int page_size(const struct request *rq, struct answer *a, int64_t *ret_size)
{
	char *end;
	long n;
	int r;

	*ret_size = PAGE_MAX;
	if (!rq->max_results)
		return 0;
	n = strtol(rq->max_results, &end, 10);
	if (end != rq->max_results && *end == '\0' && n >= 1 && n <= PAGE_MAX) {
		*ret_size = n;
		return 0;
	}
	r = answer_bad_parameter(a, "Invalid maxresults value: %.32s", rq->max_results);
	return r < 0 ? r : ANSWERED;
}

static void last_item(const struct request *rq, char *out, size_t len)
{
	ssize_t n = 0;

	if (rq->skip_token)
		n = base64url_decode(rq->skip_token, strlen(rq->skip_token), (uint8_t *)out,
				     len - 1);
	out[n > 0 ? n : 0] = '\0';
}

/* Azure writes the port even when it is 443. */
static json_t *next_link(const struct request *rq, const struct list *list, const char *last,
			 int64_t size)
{
	char token[BASE64URL_LEN(KEY_NAME_LEN)], path[300];
	const char *port = strrchr(rq->base, ':');
	bool has_port = port && port[1] != '/' && strchr(port, ']') == NULL;

	(void)snprintf(path, sizeof(path), "%s%s%s", list->before, rq->name, list->after);
	base64url_encode(last, strlen(last), token);
	return json_sprintf("%s%s%s?api-version=%s&$skiptoken=%s&maxresults=%d", rq->base,
			    has_port ? "" : ":443", path, rq->query_version, token, (int)size);
}

static json_t *make_item(struct request *rq, const struct list *list, const struct key_version *kv)
{
	json_t *item = key_item(rq, kv, list->by_version);
	struct key_state state;

	if (!list->deleted)
		return item;
	if (key_state(rq, kv->name, &state) < 0) {
		json_decref(item);
		return NULL;
	}
	return key_deleted(rq, &state, item);
}

static int fill_page(struct request *rq, const struct list *list, json_t *items, int64_t size,
		     char *last, size_t last_len)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(rq->db, &stmt, list->sql, "sis", last, size + 1, rq->name);

	if (r < 0)
		return r;
	while ((r = db_step(stmt)) == 1) {
		CLEANUP_KEY_VERSION struct key_version kv = { 0 };

		if ((int64_t)json_array_size(items) == size)
			return 1; /* there is more */
		r = key_read_row(stmt, &kv);
		if (r < 0)
			return r;
		if (json_array_append_new(items, make_item(rq, list, &kv)) != 0)
			return -ENOMEM;
		(void)snprintf(last, last_len, "%s", list->by_version ? kv.version : kv.name);
	}
	return r;
}

static int answer_list(struct request *rq, struct answer *a, const struct list *list)
{
	char after[KEY_NAME_LEN], last[KEY_NAME_LEN];
	json_t *items;
	int64_t size;
	int r = page_size(rq, a, &size);

	if (r != 0)
		return r;
	items = json_array();
	last_item(rq, after, sizeof(after));
	memcpy(last, after, sizeof(last));
	r = items ? fill_page(rq, list, items, size, last, sizeof(last)) : -ENOMEM;
	if (r < 0) {
		json_decref(items);
		return r;
	}
	return answer_json(a, json_pack("{s:o, s:o}", "value", items, "nextLink",
					r == 1 ? next_link(rq, list, last, size) : json_null()));
}

int op_list_keys(struct request *rq, struct answer *a)
{
	static const struct list list = {
		.before = "/keys",
		.after = "",
		.sql = "SELECT " KEY_COLUMNS
		       "FROM versions AS v WHERE seq = (SELECT max(seq) FROM versions "
		       "WHERE name = v.name) AND (SELECT deleted FROM keys WHERE name = v.name) IS "
		       "NULL "
		       "AND name > ?1 AND ?3 = '' ORDER BY name LIMIT ?2",
	};

	return answer_list(rq, a, &list);
}

int op_list_deleted(struct request *rq, struct answer *a)
{
	static const struct list list = {
		.before = "/deletedkeys",
		.after = "",
		.sql = "SELECT " KEY_COLUMNS
		       "FROM versions AS v WHERE seq = (SELECT max(seq) FROM versions "
		       "WHERE name = v.name) AND (SELECT deleted FROM keys WHERE name = v.name) IS "
		       "NOT "
		       "NULL AND name > ?1 AND ?3 = '' ORDER BY name LIMIT ?2",
		.deleted = true,
	};

	return answer_list(rq, a, &list);
}

int op_list_versions(struct request *rq, struct answer *a)
{
	static const struct list list = {
		.before = "/keys/",
		.after = "/versions",
		.sql = "SELECT " KEY_COLUMNS "FROM versions WHERE name = ?3 AND version > ?1 "
		       "ORDER BY version LIMIT ?2",
		.by_version = true,
	};
	struct key_state state;
	int r = key_state(rq, rq->name, &state);

	if (r < 0)
		return r;
	/* Azure lists no versions of a key that is not there, rather than a 404. */
	if (state.exists && state.deleted)
		return answer_json(a, json_pack("{s:[], s:n}", "value", "nextLink"));
	return answer_list(rq, a, &list);
}
