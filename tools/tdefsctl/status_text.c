/* SPDX-License-Identifier: Apache-2.0 */
/* A volume's status for people. What its members are: src/control/STATUS.md. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "status.h"

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "?";
}

static long long number_of(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

/* A time that is null never was. */
static const char *when(const json_t *o, const char *key, char out[static 32])
{
	time_t t = (time_t)number_of(o, key);
	struct tm tm;

	if (t == 0 || !gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		(void)snprintf(out, 32, "never");
	return out;
}

/* " WORD text" when there is one. */
static void add(FILE *out, const char *before, const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (text)
		fprintf(out, "%s%s", before, text);
}

/* A line about what may come: nothing, when it will not come by itself. */
static void countdown(FILE *out, const json_t *access, const char *key, const char *what)
{
	const json_t *seconds = json_object_get(access, key);

	if (json_is_integer(seconds) && json_integer_value(seconds) > 0)
		fprintf(out, "  %-10s in %lld s unless the key is granted\n", what,
			(long long)json_integer_value(seconds));
}

static void print_answer(FILE *out, const json_t *a)
{
	char text[32];

	if (!json_is_object(a))
		return;
	fprintf(out, "  last probe %s at %s, %lld ms", text_of(a, "class"), when(a, "at", text),
		number_of(a, "latency_ms"));
	add(out, ": ", a, "error");
	fputc('\n', out);
	if (number_of(a, "http_status") == 0)
		return;
	fprintf(out, "  it said    HTTP %lld", number_of(a, "http_status"));
	add(out, " ", a, "code");
	add(out, "/", a, "inner_code");
	add(out, ", request ", a, "request_id");
	add(out, ", seen as ", a, "network_info");
	fputc('\n', out);
}

static void print_identity(FILE *out, const json_t *id)
{
	char text[32];

	fprintf(out, "  identity   %s", text_of(id, "kind"));
	add(out, " ", id, "client_id");
	add(out, " of tenant ", id, "tenant");
	if (json_is_integer(json_object_get(id, "token_until")))
		fprintf(out, ", token until %s", when(id, "token_until", text));
	fputc('\n', out);
}

static void print_key_access(FILE *out, const json_t *access)
{
	const json_t *vault = json_object_get(access, "vault");
	const json_t *probes = json_object_get(access, "probes");
	char text[32];

	if (json_is_true(json_object_get(access, "trouble"))) {
		fprintf(out, "  trouble    since %s\n", when(access, "trouble_since", text));
		countdown(out, access, "seconds_until_read_only", "read-only");
		countdown(out, access, "seconds_until_denied", "denied");
	}
	fprintf(out, "  vault      %s (%s)\n", text_of(vault, "address"),
		text_of(vault, "serving"));
	print_answer(out, json_object_get(access, "last_answer"));
	fprintf(out, "  last grant %s\n", when(access, "last_grant", text));
	fprintf(out, "  probes     %lld granted, %lld denied, %lld unreachable, %lld broken\n",
		number_of(probes, "granted"), number_of(probes, "denied"),
		number_of(probes, "unreachable"), number_of(probes, "broken"));
	print_identity(out, json_object_get(access, "identity"));
}

/* The second vault, if there is one. */
static void print_secondary(FILE *out, const json_t *s)
{
	char text[32];

	if (!json_is_object(s))
		return;
	fprintf(out, "  secondary  %s, %s; proved: %s\n", text_of(s, "configured"),
		json_is_true(json_object_get(s, "serving")) ? "serving" : "standby",
		when(s, "proved_at", text));
	add(out, "  primary    ", s, "primary_error");
	fputs(json_is_string(json_object_get(s, "primary_error")) ? "\n" : "", out);
	if (json_is_true(json_object_get(s, "ha_broken")))
		fprintf(out, "  it fails   since %s: %s\n", when(s, "since", text),
			text_of(s, "reason"));
}

static void print_transport(FILE *out, const json_t *t, const char *libfuse)
{
	fprintf(out, "  requests   by %s, libfuse %s", text_of(t, "by"), libfuse);
	add(out, "; no io_uring: ", t, "why_not");
	fputc('\n', out);
}

static void print_freeze(FILE *out, const json_t *f)
{
	char text[32];

	if (json_is_true(json_object_get(f, "frozen")))
		fprintf(out, "  FROZEN     until %s, or tdefsctl thaw; %lld requests wait\n",
			when(f, "until", text), number_of(f, "held"));
}

static void print_advice(FILE *out, const json_t *v)
{
	const char *next =
		json_string_value(json_object_get(json_object_get(v, "key_access"), "next_step"));
	const json_t *item;
	size_t i;

	if (next)
		fprintf(out, "  next       %s\n", next);
	json_array_foreach(json_object_get(v, "alarms"), i, item)
		fprintf(out, "  ALARM      %s: %s\n", text_of(item, "name"), text_of(item, "text"));
	json_array_foreach(json_object_get(v, "engines"), i, item)
		fprintf(out, "%s  %-10s %s\n               next: %s%s\n",
			i ? "" : "  what engines do now, and what to do next\n",
			text_of(item, "engine"), text_of(item, "now"), text_of(item, "next"),
			json_is_true(json_object_get(item, "measured")) ? "" : " (not measured)");
}

static void print_auto_rotation(FILE *out, const json_t *a, bool pinned)
{
	char text[32];

	if (json_is_string(json_object_get(a, "error")))
		fprintf(out, "  rotation   %s\n             next: %s\n", text_of(a, "error"),
			text_of(a, "next"));
	if (json_is_integer(json_object_get(a, "at")) && !pinned)
		fprintf(out, "  auto_rotate takes it at %s\n", when(a, "at", text));
}

static void print_place(FILE *out, const json_t *v)
{
	const json_t *protector = json_object_get(v, "protector");
	const json_t *newest = json_object_get(protector, "newest");
	const json_t *counters = json_object_get(v, "counters");
	const json_t *metrics = json_object_get(v, "metrics");
	const bool pinned = json_is_true(json_object_get(protector, "pinned"));
	char text[32];

	fprintf(out, "  protector  %s\n  thumbprint %s\n", text_of(protector, "kid"),
		text_of(protector, "thumbprint"));
	fprintf(out, "  wrapped    %s%s\n", when(protector, "slot_created", text),
		pinned ? ", pinned to this version" : "");
	if (json_is_integer(json_object_get(protector, "expires")))
		fprintf(out, "  expires    %s; it opens the volume also after that\n",
			when(protector, "expires", text));
	if (json_is_object(newest))
		fprintf(out, "  newer      %s: a newer version exists, and is not in use\n",
			text_of(newest, "kid"));
	print_auto_rotation(out, json_object_get(v, "auto_rotation"), pinned);
	if (json_is_true(json_object_get(v, "protector_drift")))
		fputs("  drift      tdefs.conf names another protector: tdefsctl rotate takes it\n",
		      out);
	fprintf(out, "  mount      %s\n  backing    %s\n", text_of(v, "mount"),
		text_of(v, "backing"));
	fprintf(out, "  mounted    %s by process %lld, cache %s, tdefs %s\n",
		when(v, "mounted_at", text), number_of(v, "pid"), text_of(v, "cache"),
		text_of(v, "version"));
	if (strcmp(text_of(v, "direct_files"), "none") != 0)
		fprintf(out, "  direct     %s\n", text_of(v, "direct_files"));
	print_transport(out, json_object_get(v, "transport"), text_of(v, "libfuse"));
	fprintf(out, "  served     %lld reads, %lld writes, %lld fsyncs; %lld open files\n",
		number_of(counters, "reads"), number_of(counters, "writes"),
		number_of(counters, "syncs"), number_of(v, "open_files"));
	if (json_is_string(json_object_get(metrics, "listen")))
		fprintf(out, "  metrics    %s\n", text_of(metrics, "listen"));
}

void status_print_head(FILE *out, const json_t *v)
{
	const json_t *reason;
	size_t i;

	fprintf(out, "%s: %s", text_of(v, "name"), text_of(v, "state"));
	if (strcmp(text_of(v, "state"), "draining") == 0)
		fprintf(out, " to %s", text_of(v, "target"));
	json_array_foreach(json_object_get(v, "reasons"), i, reason)
		fprintf(out, "%s%s", i ? ", " : " (", json_string_value(reason));
	fputs(json_array_size(json_object_get(v, "reasons")) ? ")" : "", out);
}

void status_print(FILE *out, const json_t *v)
{
	status_print_head(out, v);
	fputc('\n', out);
	add(out, "  next       ", v, "next_step");
	fputs(json_is_string(json_object_get(v, "next_step")) ? "\n" : "", out);
	if (!json_object_get(v, "protector"))
		return;
	print_freeze(out, json_object_get(v, "freeze"));
	print_advice(out, v);
	print_key_access(out, json_object_get(v, "key_access"));
	print_secondary(out, json_object_get(v, "secondary"));
	print_place(out, v);
}
