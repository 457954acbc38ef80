/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Knows no volume. */
#include "key_log.h"

#include <stdio.h>
#include <string.h>

#include "event_details.h"

#define SUM_FOR_MS 3600000u

static const char *const events[VAULT_OPERATIONS] = {
	[VAULT_OPERATION_GET] = "key_get",
	[VAULT_OPERATION_WRAP] = "key_wrap",
	[VAULT_OPERATION_UNWRAP] = "key_unwrap",
	[VAULT_OPERATION_VERSIONS] = "key_versions",
};

static enum vault_operation operation_of(const struct vault_call *call)
{
	enum vault_operation o = VAULT_OPERATION_GET;

	while (o + 1 < VAULT_OPERATIONS && strcmp(vault_operation_name(o), call->operation) != 0)
		o++;
	return o;
}

/* The vault that a kid names: https://HOST, or the kind, where it is no key vault's. */
static void put_vault(json_t *details, const char *kid)
{
	char vault[KID_VAULT_MAX];
	struct kid parsed;

	if (kid_parse(kid, &parsed) == 0)
		details_put(details, "vault", kid_vault(&parsed, vault));
	else
		details_put(details, "vault", strncmp(kid, "file:", 5) == 0 ? "file" : "?");
	details_put(details, "kid", kid);
}

static void record_call(const struct key_log *log, const struct vault_call *call, bool probe)
{
	json_t *details = json_object();

	put_vault(details, call->kid);
	details_put(details, "by", probe ? log->probe_by : log->by);
	details_put_number(details, "latency_ms", call->elapsed_ms);
	details_put_report(details, call->report);
	audit_record(log->audit, AUDIT_MAJOR, events[operation_of(call)], details);
}

/* Under the lock. An answer that came for want of anything else says nothing of a credential. */
static void record_credential(struct key_log *log, const struct vault_call *call)
{
	const bool alarm = call->report->credential_alarm;
	json_t *details;

	if (alarm == log->credential_alarm || (!alarm && call->report->verdict != VAULT_GRANTED))
		return;
	log->credential_alarm = alarm;
	details = json_object();
	put_vault(details, call->kid);
	details_put_report(details, call->report);
	audit_record(log->audit, AUDIT_MAJOR, alarm ? "credential_alarm" : "credential_good",
		     details);
}

static json_t *sum_json(const struct probe_sum *s)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "granted", (json_int_t)s->count, "min_ms",
			 (json_int_t)s->min_ms, "average_ms", (json_int_t)(s->total_ms / s->count),
			 "max_ms", (json_int_t)s->max_ms);
}

/* Under the lock. */
static void record_sum(struct key_log *log)
{
	json_t *details = json_object();

	put_vault(details, log->kid);
	details_put(details, "by", log->probe_by);
	details_put_number(details, "since", log->sum_since);
	for (unsigned i = 0; i < VAULT_OPERATIONS; i++)
		if (log->sums[i].count > 0)
			details_put_json(details, vault_operation_name((enum vault_operation)i),
					 sum_json(&log->sums[i]));
	audit_record(log->audit, AUDIT_MAJOR, "probe_summary", details);
	memset(log->sums, 0, sizeof(log->sums));
	log->sum_since = 0;
}

/* Under the lock. */
static void add_to_sum(struct key_log *log, const struct vault_call *call)
{
	struct probe_sum *s = &log->sums[operation_of(call)];

	if (log->sum_since == 0) {
		log->sum_since = log->clock->now();
		log->sum_began_ms = log->clock->boot_ms();
	}
	(void)snprintf(log->kid, sizeof(log->kid), "%s", call->kid);
	s->min_ms = s->count == 0 || call->elapsed_ms < s->min_ms ? call->elapsed_ms : s->min_ms;
	s->max_ms = call->elapsed_ms > s->max_ms ? call->elapsed_ms : s->max_ms;
	s->total_ms += call->elapsed_ms;
	s->count++;
}

void key_log_init(struct key_log *log, struct audit *audit, const char *by,
		  const struct clock *clock)
{
	*log = (struct key_log){ .audit = audit, .by = by, .probe_by = "probe", .clock = clock };
	pthread_mutex_init(&log->lock, NULL);
}

void key_log_call(struct key_log *log, const struct vault_call *call, bool probe)
{
	const enum vault_operation operation = operation_of(call);
	const bool granted = call->report->verdict == VAULT_GRANTED;
	LOCK_SCOPE(&log->lock);

	if (!log->audit)
		return;
	if (log->sum_since && log->clock->boot_ms() - log->sum_began_ms >= SUM_FOR_MS)
		record_sum(log);
	if (probe && granted && !log->troubled[operation])
		add_to_sum(log, call);
	else
		record_call(log, call, probe);
	log->troubled[operation] = !granted;
	record_credential(log, call);
}

void key_log_end(struct key_log *log)
{
	LOCK_SCOPE(&log->lock);

	if (log->sum_since)
		record_sum(log);
	log->sum_since = 0;
	log->audit = NULL;
}

void key_log_release(struct key_log *log)
{
	key_log_end(log);
	pthread_mutex_destroy(&log->lock);
}
