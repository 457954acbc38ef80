/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault's state: one SQLite database in DIR, WAL, synchronous FULL, so that
 * a commit that returned is on disk. Server and local commands open the same
 * file; nothing is cached beside it, so each sees what the other committed.
 *
 * Functions answer 0 (or a count) or a negative errno: -EAGAIN when another
 * writer kept the lock too long, -ENOSPC, -EIO, -EBADMSG when the file is damaged.
 */
#ifndef TDEFS_VAULT_DB_H
#define TDEFS_VAULT_DB_H

#include <sqlite3.h>
#include <stdint.h>

#include "tdefs/cleanup.h"
#include "tdefs/errmsg.h"

#define DB_FILE "vault.db"

enum db_mode { DB_EXISTING, DB_CREATE };

/* Open DIR/vault.db; DB_CREATE makes file and tables when they are missing. */
int db_open(const char *dir, enum db_mode mode, sqlite3 **ret_db,
	    struct errmsg *reterr) WARN_UNUSED;
void db_close(sqlite3 *db); /* accepts NULL */

/* The schema's tables, in an open database that has none yet. */
int db_make_tables(sqlite3 *db) WARN_UNUSED;

/* A write transaction: nobody else writes until commit or rollback. */
int db_begin(sqlite3 *db) WARN_UNUSED;
int db_commit(sqlite3 *db) WARN_UNUSED;
void db_rollback(sqlite3 *db); /* harmless outside a transaction */

/*
 * Arguments for the statement's `?` by one letter each in `types`:
 *   s  const char *, NULL is SQL NULL     i  int64_t     b  const void *, size_t
 * Text and blobs must stay in place until the statement is finalized.
 */
int db_prepare(sqlite3 *db, sqlite3_stmt **ret_stmt, const char *sql, const char *types,
	       ...) WARN_UNUSED;
/* 1: there is a row; 0: the end. */
int db_step(sqlite3_stmt *stmt) WARN_UNUSED;
/* Run to the end; the number of rows changed. */
int db_run(sqlite3 *db, const char *sql, const char *types, ...) WARN_UNUSED;
/* First column of the first row; -ENOENT when there is none. */
int db_number(sqlite3 *db, int64_t *ret_number, const char *sql, const char *types,
	      ...) WARN_UNUSED;

/* Column `i` as text, never NULL; valid until the next step. */
const char *db_text(sqlite3_stmt *stmt, int i);
/* Column `i` copied into `out`, cut to its room. */
void db_copy_text(sqlite3_stmt *stmt, int i, char *out, size_t len);

/* Named values of the vault itself. -ENOENT when unset. */
int db_meta_text(sqlite3 *db, const char *name, char *out, size_t len) WARN_UNUSED;
int db_meta_blob(sqlite3 *db, const char *name, uint8_t **ret_data, size_t *ret_len) WARN_UNUSED;
int db_meta_number(sqlite3 *db, const char *name, int64_t *ret_number) WARN_UNUSED;
int db_meta_set_text(sqlite3 *db, const char *name, const char *value) WARN_UNUSED;
int db_meta_set_blob(sqlite3 *db, const char *name, const void *data, size_t len) WARN_UNUSED;
int db_meta_set_number(sqlite3 *db, const char *name, int64_t number) WARN_UNUSED;

static inline void cleanup_stmt_(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}
#define CLEANUP_STMT CLEANUP(cleanup_stmt_)

static inline void cleanup_db_(sqlite3 **db)
{
	db_close(*db);
}
#define CLEANUP_DB CLEANUP(cleanup_db_)

#endif
