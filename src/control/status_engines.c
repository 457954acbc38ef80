/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "engines" of a status: what database engines do while the key is lost,
 * and what to do about each. Measured: by tests/guard with PostgreSQL 15,
 * MariaDB 10.11 and SQLite 3.40; of MongoDB its storage engine alone, WiredTiger
 * 3.2.1: what mongod makes of it is by its documentation and source.
 */
#include "status.h"

struct conduct {
	const char *now, *next;
	bool measured;
};

static const struct engine {
	const char *name;
	struct conduct read_only, inaccessible;
} engines[] = {
	{ "PostgreSQL",
	  { "queries that only read go on; it stops by itself (PANIC) as soon as it must write its "
	    "log",
	    "start it again once the volume is online; it recovers from its log", true },
	  { "it stops by itself (PANIC) as soon as it must write its log; what is not in its "
	    "memory "
	    "answers an error",
	    "start it again once the volume is online; it recovers from its log", true } },
	{ "MariaDB",
	  { "queries that only read go on; InnoDB ends the server as soon as it cannot write its "
	    "log",
	    "start it again once the volume is online; it recovers from its log", true },
	  { "InnoDB ends the server as soon as it cannot write its log or read a page",
	    "start it again once the volume is online; it recovers from its log", true } },
	{ "SQLite",
	  { "reads go on, a write answers its program an error (SQLITE_READONLY, SQLITE_IOERR)",
	    "nothing: the next write after healing works; start programs that gave up", true },
	  { "each call answers its program an error; in WAL mode, whose index is mapped, the "
	    "program "
	    "ends with SIGBUS",
	    "start programs that ended; the next one that opens the database recovers it", true } },
	{ "MongoDB",
	  { "reads go on; WiredTiger ends the server as soon as it cannot write its journal",
	    "start it again once the volume is online; it recovers from its journal", false },
	  { "WiredTiger ends the server at its next write or read of a file",
	    "start it again once the volume is online; it recovers from its journal", false } },
};

/* Before the mount there is nothing: an engine sees a directory that only root may enter. */
static const struct conduct without_mount = { "it cannot start: its directory is not there",
					      "start it once the volume is online", true };

static const struct conduct *conduct_of(const struct engine *e, enum guard_state target)
{
	if (target == GUARD_READ_ONLY)
		return &e->read_only;
	return target == GUARD_INACCESSIBLE ? &e->inaccessible : &without_mount;
}

json_t *status_engines(const struct status_source *s)
{
	CLEANUP_JSON json_t *array = json_array();
	const enum guard_state target = s->view.guard.target;

	for (size_t i = 0; target != GUARD_ONLINE && i < ARRAY_SIZE(engines); i++) {
		const struct conduct *c = conduct_of(&engines[i], target);

		if (json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:b}", "engine",
							   engines[i].name, "now", c->now, "next",
							   c->next, "measured", (int)c->measured)) <
		    0)
			return NULL;
	}
	return TAKE_PTR(array);
}
