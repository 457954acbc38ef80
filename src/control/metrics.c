/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's metrics. Names and labels are user-visible and stable; the table
 * at the end is all of them, and README's.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "status.h"
#include "tdefs/bytes.h"
#include "tdefs/exposition.h"

#define UP_NAME "tdefs_up"
#define UP_HELP "Whether the volume's daemon answers."

#define VOLUME                                                                                     \
	{                                                                                          \
		"volume", s->vc->name                                                              \
	}

static void build_info(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "",
			 EXPOSITION_LABELS(VOLUME, { "version", TDEFS_VERSION },
					   { "libfuse", s->context->libfuse }),
			 1);
}

static void io_uring(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME),
			 atomic_load(&s->context->transport.io_uring));
}

static void up(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), 1);
}

static void state(struct exposition *e, const struct status_source *s)
{
	for (int i = GUARD_STARTING; i <= GUARD_INACCESSIBLE; i++)
		exposition_count(e, "",
				 EXPOSITION_LABELS(VOLUME,
						   { "state",
						     guard_state_name((enum guard_state)i) }),
				 (int)s->view.guard.state == i);
}

static void reasons(struct exposition *e, const struct status_source *s)
{
	char name[64];

	for (unsigned bit = GUARD_DENIED; bit <= GUARD_DRILL; bit <<= 1)
		exposition_count(e, "",
				 EXPOSITION_LABELS(VOLUME,
						   { "reason",
						     guard_reasons_text(bit, name, sizeof(name)) }),
				 (s->view.guard.reasons & bit) != 0);
}

static void alarms(struct exposition *e, const struct status_source *s)
{
	for (size_t i = 0; i < status_nalarms; i++)
		exposition_count(e, "",
				 EXPOSITION_LABELS(VOLUME, { "alarm", status_alarm_table[i].name }),
				 status_alarm_table[i].raised(s));
}

static void until_read_only(struct exposition *e, const struct status_source *s)
{
	exposition_seconds(e, "", EXPOSITION_LABELS(VOLUME),
			   guard_until_read_only(&s->view.policy, &s->view.guard, s->view.now_ms));
}

static void until_denied(struct exposition *e, const struct status_source *s)
{
	exposition_seconds(e, "", EXPOSITION_LABELS(VOLUME),
			   guard_until_denied(&s->view.policy, &s->view.guard, s->view.now_ms));
}

static void last_grant(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->view.guard.granted_at);
}

static void probes(struct exposition *e, const struct status_source *s)
{
	for (unsigned i = 0; i <= VAULT_BROKEN; i++)
		exposition_count(e, "",
				 EXPOSITION_LABELS(VOLUME,
						   { "class",
						     vault_verdict_name((enum vault_verdict)i) }),
				 s->view.probes[i]);
}

static void probe_time(struct exposition *e, const struct status_source *s)
{
	exposition_seconds(e, "", EXPOSITION_LABELS(VOLUME), volume_probe_ms(s->context->volume));
}

static uint64_t count(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

static void calls(struct exposition *e, const struct status_source *s, enum vault_operation op)
{
	const struct vault_counts *c = volume_vault_counts(s->context->volume);

	for (unsigned i = 0; i <= VAULT_BROKEN; i++)
		exposition_count(
			e, "",
			EXPOSITION_LABELS(VOLUME, { "operation", vault_operation_name(op) },
					  { "class", vault_verdict_name((enum vault_verdict)i) }),
			count(&c->calls[op][i]));
}

static void vault_operations(struct exposition *e, const struct status_source *s)
{
	for (int op = 0; op < VAULT_OPERATIONS; op++)
		calls(e, s, (enum vault_operation)op);
}

static void unwrap_latency(struct exposition *e, const struct status_source *s)
{
	const struct vault_counts *c = volume_vault_counts(s->context->volume);
	const struct exposition_label volume = VOLUME;
	uint64_t counts[VAULT_LATENCIES + 1];

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		counts[i] = count(&c->unwraps[i]);
	exposition_histogram(e, &volume,
			     &(struct exposition_histogram){ .bounds_ms = vault_latency_bounds_ms,
							     .counts = counts,
							     .n = VAULT_LATENCIES,
							     .sum_ms = count(&c->unwrap_ms) });
}

static void token_until(struct exposition *e, const struct status_source *s)
{
	struct vault_identity id;

	volume_describe_vault(s->context->volume, &id);
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), id.token_until);
}

static void operations(struct exposition *e, const struct status_source *s)
{
	static const struct {
		const char *name;
		enum counter counter;
	} table[] = { { "read", COUNTER_READS },       { "write", COUNTER_WRITES },
		      { "fsync", COUNTER_SYNCS },      { "lookup", COUNTER_LOOKUPS },
		      { "forget", COUNTER_FORGETS },   { "getattr", COUNTER_GETATTRS },
		      { "setattr", COUNTER_SETATTRS }, { "open", COUNTER_OPENS },
		      { "create", COUNTER_CREATES },   { "release", COUNTER_RELEASES },
		      { "delete", COUNTER_DELETES },   { "rename", COUNTER_RENAMES },
		      { "readdir", COUNTER_READDIRS }, { "fsyncdir", COUNTER_SYNCDIRS },
		      { "other", COUNTER_OTHERS } };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		exposition_count(e, "", EXPOSITION_LABELS(VOLUME, { "operation", table[i].name }),
				 counter_read(s->counters, table[i].counter));
}

static void one_counter(struct exposition *e, const struct status_source *s, enum counter which)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), counter_read(s->counters, which));
}

static void read_bytes(struct exposition *e, const struct status_source *s)
{
	one_counter(e, s, COUNTER_READ_BYTES);
}

static void written_bytes(struct exposition *e, const struct status_source *s)
{
	one_counter(e, s, COUNTER_WRITTEN_BYTES);
}

static void io_errors(struct exposition *e, const struct status_source *s)
{
	one_counter(e, s, COUNTER_IO_ERRORS);
}

static void damaged_headers(struct exposition *e, const struct status_source *s)
{
	one_counter(e, s, COUNTER_DAMAGED_HEADERS);
}

static void latched_errors(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->latched);
}

static void open_files(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->usage.open_files);
}

static void event_log_failing(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->event_log.failing);
}

static void events_waiting(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->event_log.waiting);
}

static void events_dropped(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->event_log.dropped);
}

static void outlet_events(struct exposition *e, const struct status_source *s, const char *outlet,
			  const struct outlet_view *v)
{
	const struct {
		const char *result;
		uint64_t n;
	} results[] = { { "sent", v->sent },
			{ "failed", v->failed },
			{ "retried", v->retried },
			{ "dropped", v->dropped } };

	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		exposition_count(e, "",
				 EXPOSITION_LABELS(VOLUME, { "outlet", outlet },
						   { "result", results[i].result }),
				 results[i].n);
}

static void outlets_events(struct exposition *e, const struct status_source *s)
{
	outlet_events(e, s, "hook", &s->hook);
	outlet_events(e, s, "webhook", &s->webhook);
}

static void outlets_waiting(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME, { "outlet", "hook" }), s->hook.waiting);
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME, { "outlet", "webhook" }),
			 s->webhook.waiting);
}

/* A kid is of a header, which may hold any bytes. */
static void protector_info(struct exposition *e, const struct status_source *s)
{
	const struct key_slot *slot = volume_header_active_slot(&s->header);
	char kid[(KID_MAX + 1) * 4], thumbprint[HEX_LEN(THUMBPRINT_LEN)];

	text_escape(slot->kid, kid, sizeof(kid));
	hex_encode(slot->thumbprint, THUMBPRINT_LEN, thumbprint);
	exposition_count(e, "",
			 EXPOSITION_LABELS(VOLUME, { "kid", kid }, { "thumbprint", thumbprint }),
			 1);
}

static void rotation_age(struct exposition *e, const struct status_source *s)
{
	uint64_t now = (uint64_t)time(NULL);
	uint64_t created = volume_header_active_slot(&s->header)->created;

	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), now > created ? now - created : 0);
}

static void expiry(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->expiry.expires);
}

static void one_if(struct exposition *e, const struct status_source *s, bool is_so)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), is_so);
}

static void drift(struct exposition *e, const struct status_source *s)
{
	one_if(e, s, volume_protector_drift(s->context->volume));
}

static void pinned(struct exposition *e, const struct status_source *s)
{
	one_if(e, s, volume_header_is_pinned(&s->header));
}

static void newer_version(struct exposition *e, const struct status_source *s)
{
	one_if(e, s, s->newest.newer);
}

static void rotation_failures(struct exposition *e, const struct status_source *s)
{
	exposition_count(e, "", EXPOSITION_LABELS(VOLUME), s->by_itself.failures);
}

static const struct family {
	const char *name, *type;
	void (*write)(struct exposition *e, const struct status_source *s);
	const char *help;
} families[] = {
	{ "tdefs_io_uring", "gauge", io_uring,
	  "Whether requests come over io_uring (else by /dev/fuse)." },
	{ "tdefs_build_info", "gauge", build_info, "Version of tdefs and of libfuse; always 1." },
	{ UP_NAME, "gauge", up, UP_HELP },
	{ "tdefs_state", "gauge", state, "1 for the state that the volume is in." },
	{ "tdefs_reasons", "gauge", reasons, "1 for each reason to be down." },
	{ "tdefs_alarm", "gauge", alarms, "1 for each alarm of tdefsctl status." },
	{ "tdefs_seconds_until_read_only", "gauge", until_read_only,
	  "Time left until the volume becomes read-only if nothing changes; +Inf: it will not." },
	{ "tdefs_seconds_until_denied", "gauge", until_denied,
	  "Time left until it becomes inaccessible if nothing changes; +Inf: it will not." },
	{ "tdefs_last_grant_timestamp_seconds", "gauge", last_grant,
	  "When the vault last granted the key, since 1970; 0: never." },
	{ "tdefs_probes_total", "counter", probes, "Probes of the vault, by class of answer." },
	{ "tdefs_probe_duration_seconds", "gauge", probe_time, "How long the last probe took." },
	{ "tdefs_vault_operations_total", "counter", vault_operations,
	  "Calls to the vault, by operation and class of answer." },
	{ "tdefs_unwrap_latency_seconds", "histogram", unwrap_latency,
	  "How long unwrapKey took, whatever the answer, retries included." },
	{ "tdefs_token_expiry_timestamp_seconds", "gauge", token_until,
	  "When the access token in hand expires, since 1970; 0: there is none." },
	{ "tdefs_protector_info", "gauge", protector_info,
	  "The key that the volume's DEK is wrapped by; always 1." },
	{ "tdefs_rotation_age_seconds", "gauge", rotation_age,
	  "Time since the DEK was wrapped by it." },
	{ "tdefs_protector_expiry_timestamp_seconds", "gauge", expiry,
	  "When that key expires, since 1970; 0: it does not, or nobody said." },
	{ "tdefs_protector_drift", "gauge", drift,
	  "Whether tdefs.conf names another key: the next rotation takes that." },
	{ "tdefs_protector_pinned", "gauge", pinned,
	  "Whether an operator chose a version that was not the newest." },
	{ "tdefs_protector_newer_version", "gauge", newer_version,
	  "Whether its key has a newer version that could be taken." },
	{ "tdefs_rotation_failures", "gauge", rotation_failures,
	  "Automatic rotations that failed, in a row until now." },
	{ "tdefs_operations_total", "counter", operations, "Requests served, by operation." },
	{ "tdefs_read_bytes_total", "counter", read_bytes, "Plaintext bytes returned." },
	{ "tdefs_written_bytes_total", "counter", written_bytes, "Plaintext bytes taken." },
	{ "tdefs_io_errors_total", "counter", io_errors, "Errors of the backing file system." },
	{ "tdefs_damaged_headers_total", "counter", damaged_headers, "File headers refused." },
	{ "tdefs_latched_errors", "gauge", latched_errors,
	  "Write errors that wait for an fsync to report them." },
	{ "tdefs_event_log_failing", "gauge", event_log_failing,
	  "Whether the event log cannot be written." },
	{ "tdefs_event_log_waiting", "gauge", events_waiting, "Events not yet in the log." },
	{ "tdefs_event_log_dropped_total", "counter", events_dropped,
	  "Events that were dropped for their number." },
	{ "tdefs_outlet_events_total", "counter", outlets_events,
	  "What became of events for hook and webhook; retried: attempts." },
	{ "tdefs_outlet_waiting", "gauge", outlets_waiting,
	  "Events that wait for hook and webhook." },
	{ "tdefs_open_files", "gauge", open_files, "Backing files held open." },
};

char *control_metrics(const struct control_context *context)
{
	CLEANUP_FREE struct exposition *e = calloc(1, sizeof(*e));
	struct status_source s;

	if (!e)
		return NULL;
	status_read(context, &s);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		exposition_family(e, families[i].name, families[i].type, families[i].help);
		families[i].write(e, &s);
	}
	return e->cut ? NULL : strdup(e->text);
}

char *control_metrics_down(const char *volume)
{
	CLEANUP_FREE struct exposition *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	exposition_family(e, UP_NAME, "gauge", UP_HELP);
	exposition_count(e, "", EXPOSITION_LABELS({ "volume", volume }), 0);
	return strdup(e->text);
}
