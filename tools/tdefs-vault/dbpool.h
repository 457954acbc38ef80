/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded number of database connections for many threads; each is one thread's at a time. */
#ifndef TDEFS_VAULT_DBPOOL_H
#define TDEFS_VAULT_DBPOOL_H

#include <pthread.h>

#include "db.h"

#define DBPOOL_MAX 16

struct dbpool {
	const char *dir;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t returned;
	sqlite3 *idle[DBPOOL_MAX];
	unsigned nidle, nopen;
};

void dbpool_init(struct dbpool *pool, const char *dir);
/* Waits while all are in use. */
int dbpool_get(struct dbpool *pool, sqlite3 **ret_db) WARN_UNUSED;
void dbpool_put(struct dbpool *pool, sqlite3 *db);
/* When nobody uses one any more. */
void dbpool_release(struct dbpool *pool);

#endif
