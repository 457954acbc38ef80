/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault fault: add, list and clear faults for tests. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "fault.h"

#define USAGE                                                                                      \
	"fault: add KIND PATH-GLOB [VALUE] [--count N], add clock SECONDS, list, or clear, "       \
	"with --allow-test-faults"

static bool kind_exists(const char *name)
{
	for (size_t i = 0; i < FAULT_KINDS; i++)
		if (strcmp(fault_names[i], name) == 0)
			return true;
	return false;
}

static int insert(struct call *call, struct local *local, void *arg)
{
	const char *kind = call->args[1], *glob = call->args[2];
	const char *value = call->nargs > 3 ? call->args[3] : "";
	bool is_clock = strcmp(kind, fault_names[FAULT_CLOCK]) == 0;
	int r = 0;

	(void)arg;
	if (is_clock) { /* there is one clock */
		value = glob;
		glob = "";
		r = db_run(local->db, "DELETE FROM faults WHERE kind = ?", "s", kind);
	}
	if (r >= 0)
		r = db_run(local->db,
			   "INSERT INTO faults(path, kind, value, remaining) VALUES(?, ?, ?, ?)",
			   "sssi", glob, kind, value, is_clock ? (int64_t)-1 : call->count);
	return r < 0 ? r : 0;
}

static int clear(struct call *call, struct local *local, void *arg)
{
	int r = db_run(local->db, "DELETE FROM faults", "");

	(void)call, (void)arg;
	return r < 0 ? r : 0;
}

static int list(struct call *call, struct local *local)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	json_t *all = json_array();
	int r = db_prepare(local->db, &stmt,
			   "SELECT kind, path, value, remaining FROM faults ORDER BY id", "");

	while (r >= 0 && (r = db_step(stmt)) == 1)
		(void)json_array_append_new(
			all, json_pack("{s:s, s:s, s:s, s:I}", "kind", db_text(stmt, 0), "path",
				       db_text(stmt, 1), "value", db_text(stmt, 2), "remaining",
				       (json_int_t)sqlite3_column_int64(stmt, 3)));
	if (r == 0)
		return print_json(json_pack("{s:o}", "faults", all), EXIT_CODE_DONE);
	json_decref(all);
	return call_errno(call, r, "fault list");
}

static int run(struct call *call, struct local *local)
{
	const char *what = call->args[0];
	int r;

	if (strcmp(what, "list") == 0)
		return list(call, local);
	if (strcmp(what, "clear") == 0)
		r = local_commit(call, local, "fault clear", "", clear, NULL);
	else if (strcmp(what, "add") == 0 && call->nargs >= 3 && kind_exists(call->args[1]))
		r = local_commit(call, local, "fault add", call->args[1], insert, NULL);
	else
		return usage_error(call, USAGE);
	return r < 0 ? call_errno(call, r, "fault") : call_done(call);
}

int verb_fault(struct call *call)
{
	struct local local;
	int code;

	if (!call->allow_test_faults) {
		errmsg_next(&call->err, "add --allow-test-faults, in tests only");
		(void)errmsg_fail(&call->err, -EPERM, EXIT_CODE_POLICY,
				  "FAULTS ARE FOR TESTS: a vault in use must not have any");
		return call_failed(call);
	}
	if (local_open(call, false, &local) < 0)
		return call_failed(call);
	code = run(call, &local);
	local_close(&local);
	return code;
}
