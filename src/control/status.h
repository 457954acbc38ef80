/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be told of a mounted volume at one moment, and how it is told as
 * JSON: a fact is a key and a function, an object is a table of them. Private to src/control.
 */
#ifndef TDEFS_CONTROL_STATUS_H
#define TDEFS_CONTROL_STATUS_H

#include "tdefs/audit.h"
#include "tdefs/control.h"
#include "tdefs/volume_freeze.h"

/* Read once for an answer, so that its parts agree. */
struct status_source {
	const struct control_context *context;
	const struct volume_config *vc;
	struct volume_header header;
	const struct counters *counters;
	struct guard_view view;
	struct rotation_view rotation;
	struct freeze_view freeze;
	bool has_secondary;
	struct secondary_view secondary;
	struct newest_view newest;
	struct auto_rotation_view by_itself;
	struct expiry_view expiry;
	struct store_usage usage;
	uint64_t latched; /* write errors that nobody was told of yet */
	struct audit_view event_log;
	struct outlet_view hook, webhook;
};
void status_read(const struct control_context *context, struct status_source *ret_source);

struct status_fact {
	const char *key;
	json_t *(*make)(const struct status_source *s); /* NULL: no memory */
};
/* NULL: no memory. */
json_t *status_object(const struct status_fact *facts, size_t n,
		      const struct status_source *s) WARN_UNUSED;

/* The whole answer; NULL: no memory. */
json_t *control_status(const struct control_context *context) WARN_UNUSED;

/* Parts of it that have a file of their own. */
json_t *status_key_access(const struct status_source *s) WARN_UNUSED;
json_t *status_rotation(const struct status_source *s) WARN_UNUSED; /* null: there was none */
json_t *status_freeze(const struct status_source *s) WARN_UNUSED;   /* null: there was none */
json_t *status_auto_rotation(const struct status_source *s) WARN_UNUSED;
json_t *status_secondary(const struct status_source *s) WARN_UNUSED; /* null: there is none */
json_t *status_alarms(const struct status_source *s) WARN_UNUSED;
json_t *status_engines(const struct status_source *s) WARN_UNUSED;
json_t *status_hook(const struct status_source *s) WARN_UNUSED;
json_t *status_webhook(const struct status_source *s) WARN_UNUSED;

/* What an operator must look at; names are user-visible and stable. */
struct status_alarm {
	const char *name;
	bool (*raised)(const struct status_source *s);
	const char *text;
};
extern const struct status_alarm status_alarm_table[];
extern const size_t status_nalarms;

/* null for a time that never was, and for a text that is empty. */
json_t *status_time(uint64_t at) WARN_UNUSED;
json_t *status_text(const char *text) WARN_UNUSED;

#endif
