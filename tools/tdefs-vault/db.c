/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite: opening, transactions, statements, errors as errno. Knows no keys. */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUSY_MS	      30000
#define SCHEMA_NUMBER 1

static const char tables[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE keys(name TEXT PRIMARY KEY COLLATE NOCASE, deleted INTEGER, purge INTEGER,"
	"  policy TEXT, policy_created INTEGER, policy_updated INTEGER);"
	"CREATE TABLE versions(seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  name TEXT NOT NULL COLLATE NOCASE, version TEXT NOT NULL COLLATE NOCASE,"
	"  enabled INTEGER NOT NULL, nbf INTEGER, exp INTEGER, created INTEGER NOT NULL,"
	"  updated INTEGER NOT NULL, ops INTEGER NOT NULL, tags TEXT, n BLOB NOT NULL,"
	"  e BLOB NOT NULL, sealed BLOB NOT NULL, UNIQUE(name, version));"
	"CREATE TABLE identities(client_id TEXT PRIMARY KEY COLLATE NOCASE,"
	"  name TEXT NOT NULL UNIQUE, oid TEXT NOT NULL, created INTEGER NOT NULL,"
	"  secret_hash BLOB, secret_expires INTEGER, certificate TEXT,"
	"  issuer TEXT, subject TEXT, jwks TEXT);"
	"CREATE TABLE grants(client_id TEXT NOT NULL COLLATE NOCASE,"
	"  key TEXT NOT NULL COLLATE NOCASE, permissions INTEGER NOT NULL,"
	"  PRIMARY KEY(client_id, key)) WITHOUT ROWID;"
	"CREATE TABLE firewall(address TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE faults(id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL,"
	"  kind TEXT NOT NULL, value TEXT NOT NULL, remaining INTEGER NOT NULL);"
	"PRAGMA user_version = 1;";

static_assert(SCHEMA_NUMBER == 1, "user_version above");

static int to_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	default:
		return -EIO;
	}
}

static int exec(sqlite3 *db, const char *sql)
{
	return to_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int db_make_tables(sqlite3 *db)
{
	int64_t version;
	int r = db_number(db, &version, "PRAGMA user_version", "");

	if (r < 0)
		return r;
	if (version == SCHEMA_NUMBER)
		return 0;
	if (version != 0)
		return -EPROTONOSUPPORT;
	r = db_begin(db);
	if (r == 0)
		r = db_number(db, &version, "PRAGMA user_version", "");
	if (r == 0 && version == 0)
		r = exec(db, tables);
	if (r == 0)
		r = db_commit(db);
	if (r < 0)
		db_rollback(db);
	return r;
}

static int set_up(sqlite3 *db, enum db_mode mode)
{
	int64_t version;
	int r;

	(void)sqlite3_busy_timeout(db, BUSY_MS);
	r = exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		     "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
		     "PRAGMA trusted_schema = OFF;");
	if (r == 0 && mode == DB_CREATE)
		return db_make_tables(db);
	if (r == 0)
		r = db_number(db, &version, "PRAGMA user_version", "");
	if (r == 0 && version != SCHEMA_NUMBER)
		return version ? -EPROTONOSUPPORT : -ENOENT;
	return r;
}

int db_open(const char *dir, enum db_mode mode, sqlite3 **ret_db, struct errmsg *reterr)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	CLEANUP_DB sqlite3 *db = NULL;
	CLEANUP_FREE char *path = NULL;
	int r;

	if (asprintf(&path, "%s/" DB_FILE, dir) < 0)
		return -ENOMEM;
	if (mode == DB_CREATE)
		flags |= SQLITE_OPEN_CREATE;
	r = to_errno(sqlite3_open_v2(path, &db, flags, NULL));
	if (r == 0)
		r = set_up(db, mode);
	if (r == -ENOENT) {
		errmsg_next(reterr, "start it once: tdefs-vault serve --data %s", dir);
		return errmsg_fail(reterr, r, EXIT_CODE_CONFIG, "%s: there is no vault here", dir);
	}
	if (r == -EPROTONOSUPPORT) {
		errmsg_next(reterr, "use the tdefs-vault that wrote it, or a newer one");
		return errmsg_fail(reterr, r, EXIT_CODE_CONFIG, "%s: made by another version",
				   path);
	}
	if (r < 0) {
		errmsg_next(reterr, "check the disk and who owns the directory");
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "%s: cannot open the vault: %s",
				   path, errno_text(r));
	}
	*ret_db = TAKE_PTR(db);
	return 0;
}

void db_close(sqlite3 *db)
{
	(void)sqlite3_close_v2(db);
}

int db_begin(sqlite3 *db)
{
	return exec(db, "BEGIN IMMEDIATE");
}

int db_commit(sqlite3 *db)
{
	return exec(db, "COMMIT");
}

void db_rollback(sqlite3 *db)
{
	if (!sqlite3_get_autocommit(db))
		IGNORE_RESULT(exec(db, "ROLLBACK"), "the error that led here is what counts");
}

static int bind(sqlite3_stmt *stmt, const char *types, va_list *args)
{
	int r = SQLITE_OK;

	for (int i = 1; *types && r == SQLITE_OK; types++, i++) {
		if (*types == 's') {
			r = sqlite3_bind_text(stmt, i, va_arg(*args, const char *), -1,
					      SQLITE_STATIC);
		} else if (*types == 'i') {
			r = sqlite3_bind_int64(stmt, i, va_arg(*args, int64_t));
		} else {
			const void *data = va_arg(*args, const void *);

			r = sqlite3_bind_blob64(stmt, i, data, va_arg(*args, size_t),
						SQLITE_STATIC);
		}
	}
	return to_errno(r);
}

static int prepare(sqlite3 *db, sqlite3_stmt **ret_stmt, const char *sql, const char *types,
		   va_list *args)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = to_errno(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL));

	if (r == 0)
		r = bind(stmt, types, args);
	if (r == 0)
		*ret_stmt = TAKE_PTR(stmt);
	return r;
}

int db_prepare(sqlite3 *db, sqlite3_stmt **ret_stmt, const char *sql, const char *types, ...)
{
	va_list args;
	int r;

	va_start(args, types);
	r = prepare(db, ret_stmt, sql, types, &args);
	va_end(args);
	return r;
}

int db_step(sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);

	return code == SQLITE_ROW ? 1 : to_errno(code);
}

int db_run(sqlite3 *db, const char *sql, const char *types, ...)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	va_list args;
	int r;

	va_start(args, types);
	r = prepare(db, &stmt, sql, types, &args);
	va_end(args);
	if (r == 0)
		while ((r = db_step(stmt)) == 1)
			;
	return r < 0 ? r : sqlite3_changes(db);
}

int db_number(sqlite3 *db, int64_t *ret_number, const char *sql, const char *types, ...)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	va_list args;
	int r;

	va_start(args, types);
	r = prepare(db, &stmt, sql, types, &args);
	va_end(args);
	if (r < 0)
		return r;
	r = db_step(stmt);
	if (r == 1)
		*ret_number = sqlite3_column_int64(stmt, 0);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

const char *db_text(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return text ? text : "";
}

void db_copy_text(sqlite3_stmt *stmt, int i, char *out, size_t len)
{
	(void)snprintf(out, len, "%s", db_text(stmt, i));
}

static const char meta_get[] = "SELECT value FROM meta WHERE name = ?";
static const char meta_set[] = "INSERT OR REPLACE INTO meta(name, value) VALUES(?, ?)";

int db_meta_text(sqlite3 *db, const char *name, char *out, size_t len)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(db, &stmt, meta_get, "s", name);

	if (r == 0)
		r = db_step(stmt);
	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	db_copy_text(stmt, 0, out, len);
	return 0;
}

int db_meta_blob(sqlite3 *db, const char *name, uint8_t **ret_data, size_t *ret_len)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(db, &stmt, meta_get, "s", name);
	size_t len;

	if (r == 0)
		r = db_step(stmt);
	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	len = (size_t)sqlite3_column_bytes(stmt, 0);
	*ret_data = malloc(len + 1);
	if (!*ret_data)
		return -ENOMEM;
	if (len)
		memcpy(*ret_data, sqlite3_column_blob(stmt, 0), len);
	*ret_len = len;
	return 0;
}

int db_meta_number(sqlite3 *db, const char *name, int64_t *ret_number)
{
	return db_number(db, ret_number, meta_get, "s", name);
}

static int changed(int r)
{
	return r < 0 ? r : 0;
}

int db_meta_set_text(sqlite3 *db, const char *name, const char *value)
{
	return changed(db_run(db, meta_set, "ss", name, value));
}

int db_meta_set_blob(sqlite3 *db, const char *name, const void *data, size_t len)
{
	return changed(db_run(db, meta_set, "sb", name, data, len));
}

int db_meta_set_number(sqlite3 *db, const char *name, int64_t number)
{
	return changed(db_run(db, meta_set, "si", name, number));
}
