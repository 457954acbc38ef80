/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a volume: their names and details. Key operations are key_log.c's. */
#include "volume_event.h"

#include <string.h>
#include <unistd.h>

#include "event_details.h"
#include "tdefs/bytes.h"
#include "volume_internal.h"

#define SETTLE_LOOK_MS 10

static void record(const struct volume *v, const char *event, json_t *details)
{
	audit_record(v->watch.audit, AUDIT_MAJOR, event, details);
}

struct audit *volume_audit(const struct volume *v)
{
	return v->watch.audit;
}

bool volume_event_log_failing(const struct volume *v)
{
	struct audit_view view;

	audit_view(v->watch.audit, &view);
	return view.failing;
}

bool volume_event_log_settle(struct audit *audit, uint64_t wait_ms, struct audit_view *ret_view)
{
	const uint64_t until_ms = clock_kernel.boot_ms() + wait_ms;

	for (;;) {
		audit_view(audit, ret_view);
		if (ret_view->waiting == 0)
			return true;
		if (ret_view->failing || clock_kernel.boot_ms() >= until_ms)
			return false;
		clock_kernel.sleep_ms(SETTLE_LOOK_MS);
	}
}

/* As guard_reasons_text() has them. */
static void put_reasons(json_t *details, const char *key, unsigned reasons)
{
	json_t *array = json_array();
	char text[64], *rest, *word;

	guard_reasons_text(reasons, text, sizeof(text));
	for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		IGNORE_RESULT(json_array_append_new(array, json_string(word)), "left out");
	details_put_json(details, key, array);
}

static void put_header(json_t *details, const struct volume_header *h)
{
	const struct key_slot *slot = volume_header_active_slot(h);
	char uuid[UUID_TEXT_LEN];

	details_put(details, "uuid", uuid_format(h->uuid, uuid));
	details_put_number(details, "sequence", h->sequence);
	details_put(details, "kid", slot->kid);
	details_put_hex(details, "thumbprint", slot->thumbprint, sizeof(slot->thumbprint));
}

void volume_event_mounted(struct volume *v)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);
	json_t *details = json_object();
	struct guard_view view;

	guard_runner_view(v->runner, &view);
	v->mounted = true;
	details_put(details, "state", guard_state_name(view.guard.state));
	put_reasons(details, "reasons", view.guard.reasons);
	details_put(details, "mount", v->vc->mount);
	details_put(details, "backing", v->vc->backing);
	put_header(details, &key->header);
	details_put(details, "version", TDEFS_VERSION);
	details_put_number(details, "pid", (uint64_t)getpid());
	record(v, "mount", details);
	volume_event_policy_noted(v->watch.audit, &v->config->policy, POLICY_MOUNT,
				  volume_key_slot(key)->kid);
}

void volume_event_mount_failed(struct audit *audit, const struct errmsg *error)
{
	json_t *details = json_object();

	details_put(details, "error", error->text);
	details_put_number(details, "exit_code", error->exit_code);
	audit_record(audit, AUDIT_MAJOR, "mount_failed", details);
}

void volume_event_unmounted(const struct volume *v, int error)
{
	uint64_t latched = counter_read(&v->counters, COUNTER_ERRORS_LATCHED) -
			   counter_read(&v->counters, COUNTER_ERRORS_RELEASED);
	json_t *details;

	if (!v->mounted)
		return;
	details = json_object();
	details_put_json(details, "all_written", json_boolean(error == 0 && latched == 0));
	if (error < 0)
		details_put(details, "error", errno_text(error));
	if (latched)
		details_put_number(details, "latched_errors", latched);
	record(v, "unmount", details);
}

static void command_details(json_t *details, const struct volume_command *c)
{
	details_put_number(details, "uid", c->uid);
	details_put(details, "kind", c->kind);
	if (c->seconds)
		details_put_number(details, "seconds", c->seconds);
}

void volume_event_command(const struct volume *v, const struct volume_command *command)
{
	json_t *details = json_object();

	command_details(details, command);
	record(v, command->name, details);
}

void volume_event_command_refused(const struct volume *v, const struct volume_command *command,
				  const char *error)
{
	json_t *details = json_object();

	details_put(details, "command", command->name);
	command_details(details, command);
	details_put(details, "error", error);
	record(v, "command_refused", details);
}

static void state_changed(const struct volume *v, const struct guard *before,
			  const struct guard *after, const struct vault_report *report)
{
	json_t *details = json_object();

	details_put(details, "state", guard_state_name(after->state));
	details_put(details, "target", guard_state_name(after->target));
	put_reasons(details, "reasons", after->reasons);
	details_put(details, "previous", guard_state_name(before->state));
	put_reasons(details, "previous_reasons", before->reasons);
	if (report->verdict != VAULT_GRANTED &&
	    (before->reasons != after->reasons || after->state == GUARD_FAILED))
		details_put_report(details, report); /* what came of this answer, or of its lack */
	record(v, "state", details);
}

/* null: it will not, by itself. */
static void put_seconds(json_t *details, const char *key, uint64_t ms)
{
	details_put_json(details, key,
			 ms == GUARD_NEVER ? json_null() : json_integer((json_int_t)(ms / 1000)));
}

static void in_trouble(const struct volume *v, const char *event, const struct guard *g,
		       const struct vault_report *report)
{
	const struct guard_policy policy = guard_runner_policy(v->runner), *p = &policy;
	const uint64_t now_ms = clock_kernel.boot_ms();
	json_t *details = json_object();

	details_put_report(details, report);
	details_put(details, "next", report->error.next);
	put_seconds(details, "seconds_until_read_only", guard_until_read_only(p, g, now_ms));
	put_seconds(details, "seconds_until_denied", guard_until_denied(p, g, now_ms));
	record(v, event, details);
}

void volume_event_step(const struct volume *v, const struct guard *before,
		       const struct guard *after, const struct vault_report *report)
{
	const bool was_trouble = before->silent_ms || before->denials;
	const bool trouble = after->silent_ms || after->denials;

	if (trouble && !was_trouble)
		in_trouble(v, "probe_failed", after, report);
	if (after->denials && !before->denials && !(after->reasons & GUARD_DENIED))
		in_trouble(v, "denial_pending", after, report);
	if (before->state != after->state || before->target != after->target ||
	    before->reasons != after->reasons)
		state_changed(v, before, after, report);
	if (!trouble && was_trouble)
		record(v, "probe_granted", NULL);
	if (before->secondary_serves != after->secondary_serves)
		record(v, after->secondary_serves ? "secondary_serves" : "primary_serves", NULL);
}

void volume_event_ha_broken(const struct volume *v, const struct vault_report *report)
{
	json_t *details = json_object();

	details_put(details, "secondary", v->vc->settings.secondary);
	details_put_report(details, report);
	details_put(details, "next", report->error.next);
	record(v, "ha_broken", details);
}

void volume_event_ha_proof(const struct volume *v, const char *kid)
{
	json_t *details = json_object();

	details_put(details, "secondary", kid);
	record(v, "ha_proof", details);
}

void volume_event_newer_version(const struct volume *v, const struct vault_key *key)
{
	CLEANUP_VOLUME_KEY struct volume_key *in_force = key_box_hold(v->key);
	json_t *details = json_object();

	details_put(details, "kid", key->kid);
	details_put_hex(details, "thumbprint", key->thumbprint, sizeof(key->thumbprint));
	if (key->created)
		details_put_number(details, "created", key->created);
	details_put(details, "in_use", volume_key_slot(in_force)->kid);
	record(v, "newer_version", details);
}

void volume_event_rotation_held(const struct volume *v, const char *kid,
				const uint8_t thumbprint[static THUMBPRINT_LEN],
				const struct vault_report *report)
{
	json_t *details = json_object();

	details_put(details, "kid", kid);
	details_put_hex(details, "thumbprint", thumbprint, THUMBPRINT_LEN);
	details_put(details, "secondary", v->vc->settings.secondary);
	details_put_report(details, report);
	record(v, "rotation_held", details);
}

void volume_event_protector_expires(const struct volume *v, const char *kid, uint64_t expires,
				    bool expired)
{
	json_t *details = json_object();

	details_put(details, "kid", kid);
	details_put_number(details, "expires", expires);
	details_put_json(details, "expired", json_boolean(expired));
	record(v, "protector_expires", details);
}

void volume_event_persisted(struct volume *v, int error)
{
	const bool failed = error < 0;
	json_t *details;

	if (failed == v->persist_failed)
		return;
	v->persist_failed = failed;
	details = json_object();
	if (failed)
		details_put(details, "error", errno_text(error));
	record(v, failed ? "persist_failed" : "persist_recovered", details);
}

void volume_event_state_damaged(const struct volume *v)
{
	record(v, "state_damaged", NULL);
}

static void put_pin(json_t *details, const char *key, const struct pin *pin)
{
	json_t *o = json_object();
	char uuid[UUID_TEXT_LEN];

	details_put(o, "uuid", uuid_format(pin->uuid, uuid));
	details_put_hex(o, "dek_id", pin->dek_id, sizeof(pin->dek_id));
	details_put_number(o, "sequence", pin->sequence);
	details_put_json(details, key, o);
}

void volume_event_pin_updated(const struct volume *v, const struct pin *now)
{
	json_t *details = json_object();

	if (v->expected.read == 0)
		put_pin(details, "before", &v->expected.pin);
	put_pin(details, "now", now);
	details_put_json(details, "accept_header", json_boolean(v->accept_header));
	record(v, "pin_updated", details);
}

void volume_event_header_repaired(const struct volume *v, int error)
{
	json_t *details = json_object();

	details_put(details, "header", header_copy_state_text(v->found.state[0]));
	details_put(details, "header_bak", header_copy_state_text(v->found.state[1]));
	if (error < 0)
		details_put(details, "error", errno_text(error));
	record(v, error < 0 ? "header_repair_failed" : "header_repaired", details);
}

void volume_event_frozen(const struct volume *v, uint64_t freeze_ms)
{
	json_t *details = json_object();

	details_put_number(details, "seconds", freeze_ms / 1000);
	record(v, "frozen", details);
}

void volume_event_thawed(const struct volume *v, enum freeze_end by, uint64_t held)
{
	json_t *details = json_object();

	details_put(details, "by", freeze_end_name(by));
	details_put_number(details, "held", held);
	record(v, "thawed", details);
}

void volume_event_sync_failed(const struct volume *v, bool freeze, int error)
{
	json_t *details = json_object();

	details_put(details, "kind", freeze ? "freeze" : "sync");
	details_put(details, "error", errno_text(error));
	record(v, "sync_failed", details);
}

void volume_event_header_restored(struct audit *audit, const struct volume_header *header,
				  const struct header_restored *what)
{
	json_t *details = json_object();

	put_header(details, header);
	if (what->had_one)
		details_put_number(details, "before", what->before);
	if (what->newest > header->sequence)
		details_put_number(details, "older_than", what->newest);
	details_put(details, "kept", what->kept);
	details_put_json(details, "proved", json_boolean(what->proved));
	audit_record(audit, AUDIT_MAJOR, "header_restored", details);
}

void volume_event_uuid_renewed(struct audit *audit, const uint8_t before[static 16],
			       const struct volume_header *header)
{
	json_t *details = json_object();
	char uuid[UUID_TEXT_LEN];

	put_header(details, header);
	details_put(details, "before", uuid_format(before, uuid));
	audit_record(audit, AUDIT_MAJOR, "uuid_renewed", details);
}

void volume_event_file(const struct volume *v, const char *name, uint64_t ino)
{
	json_t *details = json_object();

	details_put_number(details, "inode", ino);
	audit_record(v->watch.audit, AUDIT_MINOR, name, details);
}

void volume_event_formatted(struct audit *audit, const struct volume_config *vc,
			    const struct volume_header *header)
{
	json_t *details = json_object();

	details_put(details, "backing", vc->backing);
	put_header(details, header);
	audit_record(audit, AUDIT_MAJOR, "format", details);
}

void volume_event_accepted_lost(struct audit *audit, const char *path)
{
	json_t *details = json_object();

	details_put(details, "path", path);
	audit_record(audit, AUDIT_MAJOR, "file_accepted_lost", details);
}
