/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and their answers. Knows no sockets. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tdefs/bytes.h"
#include "tdefs/control.h"

static json_t *error_answer(const char *text)
{
	return json_pack("{s:i, s:s}", "schema", CONTROL_SCHEMA, "error", text);
}

static json_t *counters_json(const struct counters *c)
{
	json_t *object = json_object();

	for (int i = 0; object && i < COUNTER_MAX; i++)
		if (json_object_set_new(object, counter_names[i],
					json_integer(
						(json_int_t)counter_read(c, (enum counter)i)))) {
			json_decref(object);
			return NULL;
		}
	return object;
}

static json_t *protector_json(const struct key_slot *slot)
{
	char thumbprint[HEX_LEN(32)];

	return json_pack("{s:o, s:s, s:I}", "kid", text_json(slot->kid), "thumbprint",
			 hex_encode(slot->thumbprint, 32, thumbprint), "slot_created",
			 (json_int_t)slot->created);
}

static json_t *answer_status(const struct control_context *context, const json_t *request)
{
	const struct volume_config *vc = volume_config(context->volume);
	const struct volume_header *h = volume_header(context->volume);
	const struct counters *c = volume_counters(context->volume);
	char uuid[UUID_TEXT_LEN];
	struct store_usage usage;
	uint64_t latched =
		counter_read(c, COUNTER_ERRORS_LATCHED) - counter_read(c, COUNTER_ERRORS_RELEASED);

	(void)request;
	store_usage(volume_store(context->volume), &usage);
	return json_pack("{s:i, s:s, s:s, s:o, s:o, s:s, s:i, s:I, s:s, s:I, s:o, s:s, s:s, "
			 "s:I, s:I, s:I, s:o}",
			 "schema", CONTROL_SCHEMA, "name", vc->name, "state", "online", "backing",
			 text_json(vc->backing), "mount", text_json(vc->mount), "cache",
			 cache_mode_name(vc->settings.cache), "pid", (int)getpid(), "mounted_at",
			 (json_int_t)context->mounted_at, "uuid", uuid_format(h->uuid, uuid),
			 "header_sequence", (json_int_t)h->sequence, "protector",
			 protector_json(volume_header_active_slot(h)), "version", TDEFS_VERSION,
			 "libfuse", context->libfuse, "nodes", (json_int_t)usage.nodes,
			 "open_files", (json_int_t)usage.open_files, "latched_errors",
			 (json_int_t)latched, "counters", counters_json(c));
}

static json_t *answer_recheck(const struct control_context *context, const json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "path"));
	CLEANUP_FREE char *path = text ? strdup(text) : NULL;
	enum file_verdict verdict;
	int r;

	if (!path || !*path || text_unescape(path) < 0)
		return error_answer("recheck needs \"path\", relative to the volume's root");
	r = store_check_path(volume_store(context->volume), path, &verdict);
	if (r < 0)
		return error_answer(errno_text(r));
	return json_pack("{s:i, s:b, s:s}", "schema", CONTROL_SCHEMA, "good",
			 file_verdict_is_good(verdict), "verdict", file_verdict_text(verdict));
}

/* Who may ask what: `anyone` is the socket's group, by its file mode. */
static const struct command {
	const char *name;
	bool anyone;
	json_t *(*answer)(const struct control_context *context, const json_t *request);
} commands[] = {
	{ "status", true, answer_status },
	{ "recheck", false, answer_recheck },
};

static json_t *dispatch(const struct control_context *context, const json_t *request, uid_t uid)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (uid != 0 && !commands[i].anyone)
			return error_answer("only root may ask this");
		return commands[i].answer(context, request);
	}
	return error_answer("no such command");
}

char *control_answer(const struct control_context *context, const char *request, size_t len,
		     uid_t uid)
{
	json_error_t error;
	CLEANUP_JSON
	json_t *parsed = json_loadb(request, len, JSON_REJECT_DUPLICATES, &error);
	CLEANUP_JSON
	json_t *answer = json_is_object(parsed) ? dispatch(context, parsed, uid)
						: error_answer("not a JSON object");

	return answer ? json_dumps(answer, JSON_COMPACT) : NULL;
}
