/* SPDX-License-Identifier: Apache-2.0 */
/* A volume's status as JSON. Names are user-visible and stable. */
#include "status.h"

#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tdefs/bytes.h"
#include "tdefs/metrics_server.h"
#include "tdefs/policy.h"
#include "tdefs/volume_event.h"

json_t *status_time(uint64_t at)
{
	return at ? json_integer((json_int_t)at) : json_null();
}

json_t *status_text(const char *text)
{
	return text[0] ? text_json(text) : json_null();
}

json_t *status_object(const struct status_fact *facts, size_t n, const struct status_source *s)
{
	CLEANUP_JSON json_t *object = json_object();

	for (size_t i = 0; i < n; i++)
		if (json_object_set_new(object, facts[i].key, facts[i].make(s)) < 0)
			return NULL;
	return TAKE_PTR(object);
}

void status_read(const struct control_context *context, struct status_source *ret_source)
{
	struct volume *v = context->volume;
	struct status_source *s = ret_source;

	s->context = context;
	s->vc = volume_config(v);
	volume_header(v, &s->header);
	volume_rotation_view(v, &s->rotation);
	volume_freeze_view(v, &s->freeze);
	s->counters = volume_counters(v);
	/* Released first: it never is more than what was latched. */
	s->latched = counter_read(s->counters, COUNTER_ERRORS_RELEASED);
	s->latched = counter_read(s->counters, COUNTER_ERRORS_LATCHED) - s->latched;
	store_usage(volume_store(v), &s->usage);
	s->has_secondary = volume_secondary_view(v, &s->secondary);
	volume_newest_view(v, &s->newest);
	volume_auto_rotation_view(v, &s->by_itself);
	volume_expiry_view(v, &s->expiry);
	audit_view(volume_audit(v), &s->event_log);
	hook_view(context->hook, &s->hook);
	webhook_view(context->webhook, &s->webhook);
	guard_runner_view(volume_guard(v), &s->view);
}

static json_t *schema(const struct status_source *s)
{
	(void)s;
	return json_integer(CONTROL_SCHEMA);
}

static json_t *name(const struct status_source *s)
{
	return json_string(s->vc->name);
}

static json_t *state(const struct status_source *s)
{
	return json_string(guard_state_name(s->view.guard.state));
}

static json_t *target(const struct status_source *s)
{
	return json_string(guard_state_name(s->view.guard.target));
}

static json_t *reasons(const struct status_source *s)
{
	CLEANUP_JSON json_t *array = json_array();
	char text[64], *rest, *word;

	guard_reasons_text(s->view.guard.reasons, text, sizeof(text));
	for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		if (json_array_append_new(array, json_string(word)) < 0)
			return NULL;
	return TAKE_PTR(array);
}

static json_t *backing(const struct status_source *s)
{
	return text_json(s->vc->backing);
}

static json_t *mount(const struct status_source *s)
{
	return text_json(s->vc->mount);
}

static json_t *cache(const struct status_source *s)
{
	return json_string(cache_mode_name(s->vc->settings.cache));
}

static json_t *direct_files(const struct status_source *s)
{
	return text_json(settings_direct_files(&s->vc->settings));
}

static json_t *transport(const struct status_source *s)
{
	const struct transport *t = &s->context->transport;
	const char *why_not = atomic_load(&t->why_not);

	return json_pack("{s:s, s:s, s:o}", "by",
			 atomic_load(&t->io_uring) ? "io_uring" : "/dev/fuse", "io_uring",
			 io_uring_use_name(s->vc->settings.io_uring), "why_not",
			 status_text(why_not ? why_not : ""));
}

static json_t *pid(const struct status_source *s)
{
	(void)s;
	return json_integer(getpid());
}

static json_t *dumpable(const struct status_source *s)
{
	(void)s;
	return json_boolean(prctl(PR_GET_DUMPABLE) != 0);
}

static json_t *seccomp(const struct status_source *s)
{
	return json_boolean(s->vc->settings.seccomp);
}

static json_t *mounted_at(const struct status_source *s)
{
	return json_integer((json_int_t)s->context->mounted_at);
}

static json_t *uuid(const struct status_source *s)
{
	char text[UUID_TEXT_LEN];

	return json_string(uuid_format(s->header.uuid, text));
}

static json_t *header_sequence(const struct status_source *s)
{
	return json_integer((json_int_t)s->header.sequence);
}

/* A version of the protector's key that came after the one in use; null: none is known. */
static json_t *newest(const struct status_source *s)
{
	const struct newest_view *n = &s->newest;
	char thumbprint[HEX_LEN(32)];

	if (!n->newer)
		return json_null();
	return json_pack("{s:o, s:s, s:o}", "kid", text_json(n->kid), "thumbprint",
			 hex_encode(n->thumbprint, 32, thumbprint), "created",
			 status_time(n->created));
}

static json_t *protector(const struct status_source *s)
{
	const struct key_slot *slot = volume_header_active_slot(&s->header);
	char thumbprint[HEX_LEN(32)];

	return json_pack("{s:o, s:s, s:s, s:I, s:b, s:o, s:o, s:o}", "kid", text_json(slot->kid),
			 "thumbprint", hex_encode(slot->thumbprint, 32, thumbprint), "kind",
			 protector_kind_name(protector_kind_of(slot->kid)), "slot_created",
			 (json_int_t)slot->created, "pinned",
			 (int)volume_header_is_pinned(&s->header), "expires",
			 status_time(s->expiry.expires), "newest", newest(s), "newest_error",
			 status_text(s->newest.error.text));
}

static json_t *protector_drift(const struct status_source *s)
{
	return json_boolean(volume_protector_drift(s->context->volume));
}

static json_t *version(const struct status_source *s)
{
	(void)s;
	return json_string(TDEFS_VERSION);
}

static json_t *libfuse(const struct status_source *s)
{
	return json_string(s->context->libfuse);
}

static json_t *nodes(const struct status_source *s)
{
	return json_integer((json_int_t)s->usage.nodes);
}

static json_t *open_files(const struct status_source *s)
{
	return json_integer((json_int_t)s->usage.open_files);
}

static json_t *latched_errors(const struct status_source *s)
{
	return json_integer((json_int_t)s->latched);
}

static json_t *counters(const struct status_source *s)
{
	CLEANUP_JSON json_t *object = json_object();

	for (int i = 0; i < COUNTER_MAX; i++) {
		json_int_t n = (json_int_t)counter_read(s->counters, (enum counter)i);

		if (json_object_set_new(object, counter_names[i], json_integer(n)) < 0)
			return NULL;
	}
	return TAKE_PTR(object);
}

static json_t *event_log(const struct status_source *s)
{
	const struct audit_view *l = &s->event_log;

	return json_pack("{s:b, s:o, s:o, s:I, s:I, s:{s:I, s:s}}", "failing", (int)l->failing,
			 "since", status_time(l->failing_since), "error", status_text(l->error),
			 "waiting", (json_int_t)l->waiting, "dropped", (json_int_t)l->dropped,
			 "head", "seq", (json_int_t)l->head_seq, "hash", l->head_hash);
}

static json_t *metrics(const struct status_source *s)
{
	const char *listen = s->vc->settings.metrics_listen;
	int r = metrics_server_error(s->context->metrics);

	return json_pack("{s:o, s:o}", "listen", status_text(listen ? listen : ""), "error",
			 status_text(r < 0 ? errno_text(r) : ""));
}

json_t *control_status(const struct control_context *context)
{
	static const struct status_fact facts[] = {
		{ "schema", schema },
		{ "name", name },
		{ "state", state },
		{ "target", target },
		{ "reasons", reasons },
		{ "alarms", status_alarms },
		{ "engines", status_engines },
		{ "key_access", status_key_access },
		{ "backing", backing },
		{ "mount", mount },
		{ "cache", cache },
		{ "direct_files", direct_files },
		{ "transport", transport },
		{ "pid", pid },
		{ "dumpable", dumpable },
		{ "seccomp", seccomp },
		{ "mounted_at", mounted_at },
		{ "uuid", uuid },
		{ "header_sequence", header_sequence },
		{ "protector", protector },
		{ "protector_drift", protector_drift },
		{ "auto_rotation", status_auto_rotation },
		{ "rotation", status_rotation },
		{ "freeze", status_freeze },
		{ "secondary", status_secondary },
		{ "version", version },
		{ "libfuse", libfuse },
		{ "nodes", nodes },
		{ "open_files", open_files },
		{ "latched_errors", latched_errors },
		{ "counters", counters },
		{ "event_log", event_log },
		{ "hook", status_hook },
		{ "webhook", status_webhook },
		{ "metrics", metrics },
	};
	struct status_source s;

	status_read(context, &s);
	return status_object(facts, ARRAY_SIZE(facts), &s);
}
