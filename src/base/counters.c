/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the counters. */
#include "tdefs/counters.h"

const char *const counter_names[COUNTER_MAX] = {
	[COUNTER_READS] = "reads",
	[COUNTER_READ_BYTES] = "read_bytes",
	[COUNTER_WRITES] = "writes",
	[COUNTER_WRITTEN_BYTES] = "written_bytes",
	[COUNTER_SYNCS] = "syncs",
	[COUNTER_IO_ERRORS] = "io_errors",
	[COUNTER_ERRORS_LATCHED] = "errors_latched",
	[COUNTER_ERRORS_RELEASED] = "errors_released",
	[COUNTER_DAMAGED_HEADERS] = "damaged_headers",
	[COUNTER_LOOKUPS] = "lookups",
	[COUNTER_FORGETS] = "forgets",
	[COUNTER_GETATTRS] = "getattrs",
	[COUNTER_SETATTRS] = "setattrs",
	[COUNTER_OPENS] = "opens",
	[COUNTER_CREATES] = "creates",
	[COUNTER_RELEASES] = "releases",
	[COUNTER_DELETES] = "deletes",
	[COUNTER_RENAMES] = "renames",
	[COUNTER_READDIRS] = "readdirs",
	[COUNTER_SYNCDIRS] = "syncdirs",
	[COUNTER_OTHERS] = "others",
};
