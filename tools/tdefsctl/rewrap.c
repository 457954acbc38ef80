/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl rewrap: another key for a header that nobody has mounted: a backup's, a replica's. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "key_name.h"
#include "rotate.h"
#include "tdefs/bytes.h"
#include "tdefs/secret.h"

int rotation_request_of(struct call *call, struct rotation_request *ret_request)
{
	*ret_request = (struct rotation_request){ .retire = call->retire,
						  .unpin = call->unpin,
						  .from_previous = call->from_previous,
						  .key_is_backed_up = call->key_is_backed_up,
						  .dry_run = call->dry_run };
	if (!call->to)
		return 0;
	if (call->unpin) {
		errmsg_next(&call->err, "give --to to choose a version, or --unpin for the newest");
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG,
				   "--unpin takes the newest version, --to names one");
	}
	if (strlen(call->to) > KID_MAX || !key_name_is_kid(call->to)) {
		errmsg_next(&call->err, KEY_NAME_NEXT);
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG,
				   "--to %.200s: no key identifier", call->to);
	}
	memcpy(ret_request->to, call->to, strlen(call->to) + 1);
	return 0;
}

static json_t *key_json(const struct rotation_key *k)
{
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)];

	return json_pack("{s:o, s:s}", "kid", text_json(k->kid), "thumbprint",
			 hex_encode(k->thumbprint, THUMBPRINT_LEN, thumbprint));
}

static void print_key(const char *what, const json_t *k)
{
	printf("  %s %s\n         %s\n", what, json_string_value(json_object_get(k, "kid")),
	       json_string_value(json_object_get(k, "thumbprint")));
}

int rotation_report(struct call *call, const json_t *rotation)
{
	bool rotated = json_is_true(json_object_get(rotation, "rotated"));
	bool retired = json_is_true(json_object_get(rotation, "retired"));
	bool pinned = json_is_true(json_object_get(rotation, "pinned"));
	const json_t *before = json_object_get(rotation, "before");

	if (call->json)
		return print_json(json_pack("{s:s, s:b, s:b, s:b, s:b, s:O, s:O}", "name",
					    call->args[0], "dry_run", (int)call->dry_run, "rotated",
					    (int)rotated, "retired", (int)retired, "pinned",
					    (int)pinned, "before", before, "after",
					    json_object_get(rotation, "after")),
				  EXIT_CODE_DONE);
	printf("%s: %s%s\n", call->args[0],
	       !rotated	       ? "this key is its protector already"
	       : call->dry_run ? "would be rotated; nothing was changed"
			       : "rotated",
	       !retired	       ? ""
	       : call->dry_run ? "; no earlier key would open this header any more"
			       : "; no earlier key opens this header");
	print_key("before", before);
	print_key(call->dry_run ? "after " : "now   ", json_object_get(rotation, "after"));
	if (call->dry_run)
		return EXIT_CODE_DONE;
	if (pinned)
		puts("It has a newer version: the volume is pinned to this one, until rotate "
		     "--unpin.");
	if (retired)
		puts("Copies of an earlier header still open with the earlier key. If one may have "
		     "leaked\nwith that key, only a new volume, with a new DEK, helps.");
	return EXIT_CODE_DONE;
}

static int no_memory(struct call *call)
{
	return errmsg_fail(&call->err, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
}

/* Whose event log tells of it: of a copy, that of a volume which has its key, or the new one. */
static const char *log_of(const struct call *call, const struct volume_config *vc,
			  const struct target *t)
{
	const char *kid = volume_header_active_slot(&t->header.header)->kid;
	const char *name = vc ? vc->name : call_volume_of(call, kid);

	return name || !call->to ? name : call_volume_of(call, call->to);
}

int rewrap_target(struct call *call, const char *verb, const struct target *t,
		  const struct rotation_request *request, json_t **ret_rotation)
{
	const struct volume_config *vc = target_volume(call, t);
	const struct vault_watch watch = call_watch(call, verb, t->label, log_of(call, vc, t));
	const struct rewrap rewrap = { .sys = &sysio_kernel,
				       .config = call->config,
				       .volume = vc,
				       .backing = &t->backing,
				       .watch = &watch,
				       .now = (uint64_t)time(NULL) };
	CLEANUP_FREE struct rotation_outcome *outcome = malloc(sizeof(*outcome));
	int r;

	if (!outcome)
		return no_memory(call);
	secret_lock_memory(vc ? vc->settings.lock_memory : call->config->server.lock_memory);
	r = volume_rewrap(&rewrap, request, outcome);
	if (r < 0) {
		call->err = outcome->message;
		return r;
	}
	*ret_rotation =
		json_pack("{s:b, s:b, s:b, s:o, s:o}", "rotated", (int)outcome->rotated, "retired",
			  (int)outcome->retired, "pinned", (int)outcome->pinned, "before",
			  key_json(&outcome->before), "after", key_json(&outcome->after));
	return *ret_rotation ? 0 : no_memory(call);
}

int verb_rewrap(struct call *call)
{
	CLEANUP_JSON json_t *rotation = NULL;
	struct rotation_request request;
	struct target t;
	int r;

	if (!call->to)
		return usage_error(call, "rewrap needs --to KID");
	if (rotation_request_of(call, &request) < 0)
		return call_failed(call);
	request.act = POLICY_REWRAP;
	if (target_open(call, call->args[0], &t) < 0)
		return call_failed(call);
	r = rewrap_target(call, "rewrap", &t, &request, &rotation);
	target_close(&t);
	return r < 0 ? call_failed(call) : rotation_report(call, rotation);
}
