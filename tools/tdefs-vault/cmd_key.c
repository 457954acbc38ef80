/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefs-vault key: the protocol's own operations, called locally. Each command
 * is one request through api_call(), so that it behaves and is audited like one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "audit.h"
#include "cli.h"
#include "keyfile.h"

/* How each command is said in the protocol; %s is the key's name. */
static const struct command {
	const char *name, *method, *path;
	bool need_key;	  /* the master key */
	int nargs;	  /* after the command's name */
	const char *done; /* what a person reads; NULL: the key itself */
} commands[] = {
	{ "create", "POST", "/keys/%s/create", true, 1, NULL },
	{ "import", "PUT", "/keys/%s", true, 2, NULL },
	{ "show", "GET", "/keys/%s", false, 1, NULL },
	{ "rotate", "POST", "/keys/%s/rotate", true, 1, NULL },
	{ "enable", "PATCH", "/keys/%s", false, 1, "enabled" },
	{ "disable", "PATCH", "/keys/%s", false, 1, "disabled" },
	{ "delete", "DELETE", "/keys/%s", false, 1, "deleted, recoverable" },
	{ "recover", "POST", "/deletedkeys/%s/recover", false, 1, "recovered" },
	{ "purge", "DELETE", "/deletedkeys/%s", false, 1, "purged" },
	{ "versions", "GET", "/keys/%s/versions", false, 1, NULL },
	{ "list", "GET", "/keys", false, 0, NULL },
};

static int start_request(struct local *local, const char *method, struct request *rq)
{
	rq->vault = &local->vault;
	rq->db = local->db;
	rq->now = vault_now(&local->vault, local->db);
	rq->method = method;
	rq->query_version = "7.5";
	rq->caller.local = true;
	rq->caller.uid = getuid();
	(void)snprintf(rq->caller.name, sizeof(rq->caller.name), "local");
	(void)snprintf(rq->client, sizeof(rq->client), "local");
	(void)snprintf(rq->base, sizeof(rq->base), "%s", local->vault.url);
	return random_uuid(rq->id);
}

/* Run and audit; 0, or an errno with call->err filled. */
static int do_request(struct call *call, struct request *rq, struct answer *a)
{
	CLEANUP_JSON json_t *body = NULL;
	const char *message;
	int r;

	api_call(rq, a);
	r = audit_call(rq, a, strcmp(rq->method, "GET") != 0);
	if (r < 0)
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED,
				   "the audit log cannot be written: %s", errno_text(r));
	if (a->status < 300)
		return 0;
	body = a->text ? json_loads(a->text, 0, NULL) : NULL;
	message = json_string_value(json_object_get(json_object_get(body, "error"), "message"));
	errmsg_next(&call->err, "see " PROGRAM " key list --data %s", call->data);
	return errmsg_fail(&call->err, -EPROTO,
			   a->status == 403 ? EXIT_CODE_POLICY : EXIT_CODE_FAILED, "key %s: %s",
			   call->nargs > 1 ? call->args[1] : "", message ? message : a->result);
}

/* "wrapKey,unwrapKey" as a JSON list, or NULL. */
static json_t *ops_list(const char *text)
{
	json_t *list = text ? json_array() : NULL;

	for (const char *p = text; p;) {
		size_t len = strcspn(p, ",");

		(void)json_array_append_new(list, json_stringn(p, len));
		p = p[len] ? p + len + 1 : NULL;
	}
	return list;
}

static int make_body(struct call *call, const struct command *command, json_t **ret_body)
{
	int r = 0;

	if (strcmp(command->name, "create") == 0)
		*ret_body =
			json_pack("{s:s, s:I, s:o*}", "kty", "RSA", "key_size",
				  (json_int_t)call->key_size, "key_ops", ops_list(call->key_ops));
	else if (strcmp(command->name, "enable") == 0)
		*ret_body = json_pack("{s:{s:b}}", "attributes", "enabled", 1);
	else if (strcmp(command->name, "disable") == 0)
		*ret_body = json_pack("{s:{s:b}}", "attributes", "enabled", 0);
	else if (strcmp(command->name, "import") == 0)
		r = keyfile_to_body(call->args[2], ops_list(call->key_ops), ret_body, &call->err);
	else
		return 0;
	if (r < 0)
		return r;
	return *ret_body ? 0 : -ENOMEM;
}

static void print_key(const json_t *bundle)
{
	const json_t *key = json_object_get(bundle, "key");
	const json_t *attributes = json_object_get(bundle, "attributes");
	const char *n = json_string_value(json_object_get(key, "n"));
	const json_t *op;
	size_t i;

	printf("kid      %s\nsize     %zu\nstate    %s\nops     ",
	       json_string_value(json_object_get(key, "kid")), n ? strlen(n) * 6 / 8 * 8 : 0,
	       json_is_true(json_object_get(attributes, "enabled")) ? "enabled" : "disabled");
	json_array_foreach(json_object_get(key, "key_ops"), i, op)
		printf(" %s", json_string_value(op));
	putchar('\n');
}

/* A name stands for its newest version: only that was changed. */
static void print_change(const struct call *call, const struct command *command,
			 const json_t *bundle)
{
	const bool whole = strcmp(command->method, "PATCH") != 0;

	printf("%s: %s\n",
	       whole ? call->args[1]
		     : json_string_value(json_object_get(json_object_get(bundle, "key"), "kid")),
	       command->done);
	if (!whole && !strchr(call->args[1], '/'))
		printf("  this version only, the newest; others stay as they are: " PROGRAM
		       " key versions %s\n",
		       call->args[1]);
}

static int print_answer(const struct call *call, const struct command *command,
			const struct answer *a)
{
	CLEANUP_JSON json_t *bundle = a->text ? json_loads(a->text, 0, NULL) : NULL;

	if (call->json)
		return print_json(a->text ? json_incref(bundle) : json_object(), EXIT_CODE_DONE);
	if (json_is_object(json_object_get(bundle, "key")) && command->done)
		print_change(call, command, bundle);
	else if (command->done)
		printf("%s: %s\n", call->args[1], command->done);
	else
		print_key(bundle);
	return EXIT_CODE_DONE;
}

static int one_request(struct call *call, struct local *local, const struct command *command)
{
	CLEANUP(request_release) struct request rq = { 0 };
	CLEANUP(answer_release) struct answer a = { 0 };
	int r = start_request(local, command->method, &rq);

	if (r == 0)
		r = make_body(call, command, &rq.body);
	if (r == 0) {
		/* The whole name, so that one that is too long is refused and not cut. */
		const char *format = strstr(command->path, "%s");

		(void)snprintf(rq.path, sizeof(rq.path), "%.*s%.500s%s",
			       (int)(format - command->path), command->path, call->args[1],
			       format + 2);
		r = do_request(call, &rq, &a);
	}
	return r < 0 ? call_errno(call, r, "key") : print_answer(call, command, &a);
}

/* All pages of a list, appended to `all`. */
static int list_pages(struct call *call, struct local *local, const char *path, json_t *all)
{
	char token[256] = "";
	int r;

	do {
		CLEANUP(request_release) struct request rq = { 0 };
		CLEANUP(answer_release) struct answer a = { 0 };
		CLEANUP_JSON json_t *page = NULL;
		const char *next;

		r = start_request(local, "GET", &rq);
		(void)snprintf(rq.path, sizeof(rq.path), "%s", path);
		rq.skip_token = token[0] ? token : NULL;
		if (r == 0)
			r = do_request(call, &rq, &a);
		if (r < 0)
			return r;
		page = json_loads(a.text, 0, NULL);
		(void)json_array_extend(all, json_object_get(page, "value"));
		next = json_string_value(json_object_get(page, "nextLink"));
		next = next ? strstr(next, "$skiptoken=") : NULL;
		(void)snprintf(token, sizeof(token), "%.*s",
			       next ? (int)strcspn(next + 11, "&") : 0, next ? next + 11 : "");
	} while (token[0]);
	return 0;
}

static void print_item(const json_t *item, const char *state)
{
	const json_t *enabled = json_object_get(json_object_get(item, "attributes"), "enabled");

	printf("%s  %s\n", json_string_value(json_object_get(item, "kid")),
	       state		       ? state
	       : json_is_true(enabled) ? "enabled"
				       : "disabled");
}

static int list(struct call *call, struct local *local)
{
	CLEANUP_JSON json_t *keys = json_array(), *deleted = json_array();
	const json_t *item;
	size_t i;
	int r = list_pages(call, local, "/keys", keys);

	if (r == 0)
		r = list_pages(call, local, "/deletedkeys", deleted);
	if (r < 0)
		return call_errno(call, r, "key list");
	if (call->json)
		return print_json(json_pack("{s:O, s:O}", "keys", keys, "deleted", deleted),
				  EXIT_CODE_DONE);
	json_array_foreach(keys, i, item) print_item(item, NULL);
	json_array_foreach(deleted, i, item) print_item(item, "deleted");
	return EXIT_CODE_DONE;
}

static int versions(struct call *call, struct local *local)
{
	CLEANUP_JSON json_t *found = json_array();
	const json_t *item;
	char path[600];
	size_t i;
	int r;

	(void)snprintf(path, sizeof(path), "/keys/%.500s/versions", call->args[1]);
	r = list_pages(call, local, path, found);
	if (r < 0)
		return call_errno(call, r, "key versions");
	if (json_array_size(found) == 0) {
		errmsg_next(&call->err, "see " PROGRAM " key list --data %s", call->data);
		(void)errmsg_fail(&call->err, -ENOENT, EXIT_CODE_FAILED, "key %s: there is none",
				  call->args[1]);
		return call_failed(call);
	}
	if (call->json)
		return print_json(json_pack("{s:s, s:O}", "name", call->args[1], "versions", found),
				  EXIT_CODE_DONE);
	json_array_foreach(found, i, item) print_item(item, NULL);
	return EXIT_CODE_DONE;
}

/* Where purge protection is on, it is refused anyway. */
static int confirm_purge(struct call *call, const struct local *local)
{
	char question[256];

	(void)snprintf(question, sizeof(question),
		       "Destroy key %.128s for good, and with it whatever it encrypts?",
		       call->args[1]);
	return local->vault.purge_protection ? 0 : call_confirm(call, question);
}

static int run_command(struct call *call, struct local *local, const struct command *command)
{
	if (strcmp(command->name, "purge") == 0 && confirm_purge(call, local) < 0)
		return call_failed(call);
	if (strcmp(command->name, "list") == 0)
		return list(call, local);
	if (strcmp(command->name, "versions") == 0)
		return versions(call, local);
	return one_request(call, local, command);
}

int verb_key(struct call *call)
{
	const struct command *command = NULL;
	struct local local;
	int code;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, call->args[0]) == 0)
			command = &commands[i];
	if (!command || call->nargs - 1 != command->nargs)
		return usage_error(call,
				   "key: create NAME, import NAME PEM_FILE, list, versions NAME, "
				   "show NAME, rotate "
				   "NAME, enable NAME, disable NAME, delete NAME, recover NAME, or "
				   "purge NAME");
	if (local_open(call, command->need_key, &local) < 0)
		return call_failed(call);
	code = run_command(call, &local, command);
	local_close(&local);
	return code;
}
