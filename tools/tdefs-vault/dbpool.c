/* SPDX-License-Identifier: Apache-2.0 */
/* Database connections, opened when needed, kept for the next. */
#include "dbpool.h"

void dbpool_init(struct dbpool *pool, const char *dir)
{
	*pool = (struct dbpool){ .dir = dir };
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->returned, NULL);
}

/* An idle one, or NULL when a new one may be opened. */
static sqlite3 *take_idle(struct dbpool *pool)
{
	LOCK_SCOPE(&pool->lock);

	while (pool->nidle == 0 && pool->nopen == DBPOOL_MAX)
		pthread_cond_wait(&pool->returned, &pool->lock);
	if (pool->nidle)
		return pool->idle[--pool->nidle];
	pool->nopen++;
	return NULL;
}

int dbpool_get(struct dbpool *pool, sqlite3 **ret_db)
{
	sqlite3 *db = take_idle(pool);
	struct errmsg err = { 0 };
	int r = db ? 0 : db_open(pool->dir, DB_EXISTING, &db, &err);

	if (r < 0) {
		LOCK_SCOPE(&pool->lock);

		pool->nopen--;
		pthread_cond_signal(&pool->returned);
		return r;
	}
	*ret_db = db;
	return 0;
}

void dbpool_put(struct dbpool *pool, sqlite3 *db)
{
	db_rollback(db);
	LOCK_SCOPE(&pool->lock);

	pool->idle[pool->nidle++] = db;
	pthread_cond_signal(&pool->returned);
}

void dbpool_release(struct dbpool *pool)
{
	while (pool->nidle)
		db_close(pool->idle[--pool->nidle]);
	pthread_cond_destroy(&pool->returned);
	pthread_mutex_destroy(&pool->lock);
}
