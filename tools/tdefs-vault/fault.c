/* SPDX-License-Identifier: Apache-2.0 */
/* Faults for tests: which act on a request. Acting is http.c's. */
#include "fault.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

const char *const fault_names[FAULT_KINDS] = {
	[FAULT_DELAY] = "delay",   [FAULT_DROP] = "drop",	  [FAULT_DROP_AFTER] = "drop-after",
	[FAULT_STATUS] = "status", [FAULT_TRUNCATE] = "truncate", [FAULT_BODY] = "body",
	[FAULT_WRONG] = "wrong",   [FAULT_HEADER] = "header",	  [FAULT_CLOCK] = "clock",
};

static int kind_of(const char *name)
{
	for (int i = 0; i < FAULT_KINDS; i++)
		if (strcmp(fault_names[i], name) == 0)
			return i;
	return -EINVAL;
}

static int take_one(sqlite3 *db, sqlite3_stmt *stmt, const char *path, struct fault_set *set)
{
	int kind = kind_of(db_text(stmt, 1));

	if (kind < 0 || kind == FAULT_CLOCK || set->on[kind] ||
	    fnmatch(db_text(stmt, 3), path, FNM_CASEFOLD) != 0)
		return 0;
	if (sqlite3_column_int64(stmt, 4) > 0) {
		int r = db_run(db, "UPDATE faults SET remaining = remaining - 1 WHERE id = ?", "i",
			       (int64_t)sqlite3_column_int64(stmt, 0));

		if (r < 0)
			return r;
	}
	set->on[kind] = true;
	db_copy_text(stmt, 2, set->value[kind], sizeof(set->value[kind]));
	return 0;
}

static int take_all(sqlite3 *db, const char *path, struct fault_set *ret_set)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(db, &stmt,
			   "SELECT id, kind, value, path, remaining FROM faults "
			   "WHERE remaining <> 0 ORDER BY id",
			   "");

	if (r < 0)
		return r;
	while ((r = db_step(stmt)) == 1) {
		r = take_one(db, stmt, path, ret_set);
		if (r < 0)
			return r;
	}
	return r;
}

int fault_take(sqlite3 *db, const char *path, struct fault_set *ret_set)
{
	int64_t count;
	int r = db_number(db, &count,
			  "SELECT count(*) FROM faults WHERE remaining <> 0 AND kind <> 'clock'",
			  "");

	if (r < 0 || count == 0)
		return r;
	r = db_begin(db);
	if (r == 0)
		r = take_all(db, path, ret_set);
	if (r == 0)
		r = db_commit(db);
	if (r < 0)
		db_rollback(db);
	return r;
}

int64_t fault_clock_shift(sqlite3 *db)
{
	int64_t shift = 0;

	IGNORE_RESULT(
		db_number(db, &shift,
			  "SELECT total(CAST(value AS INTEGER)) FROM faults WHERE kind = 'clock'",
			  ""),
		"no shift then");
	return shift;
}

int fault_count(sqlite3 *db, int64_t *ret_count)
{
	return db_number(db, ret_count, "SELECT count(*) FROM faults", "");
}
