/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open vault: its directory, its master key and the few values that do not
 * change while it exists. Everything that can change is read from the database
 * when it is asked for.
 */
#ifndef TDEFS_VAULT_VAULT_H
#define TDEFS_VAULT_VAULT_H

#include <semaphore.h>
#include <sys/types.h>

#include "tdefs/bytes.h"

#include "db.h"
#include "seal.h"

#define PROGRAM "tdefs-vault"

#define DEFAULT_RESOURCE       "https://vault.azure.net"
#define DEFAULT_TOKEN_LIFETIME 3600
#define DEFAULT_RETENTION_DAYS 90
#define VAULT_LOCATION	       "local"

struct vault {
	const char *dir;
	int dirfd;
	struct secret *master;	  /* NULL: opened without */
	struct secret *token_key; /* HMAC key of access tokens; with master only */
	char tenant[UUID_TEXT_LEN];
	char name[64];
	char url[300]; /* https://HOST:PORT, when a request names none */
	int64_t retention_days;
	bool purge_protection;
	bool just_created;

	/* set by serve */
	const char *resource;
	int64_t token_lifetime;
	bool faults_allowed;
	sem_t heavy; /* how many may generate, sign, decrypt or derive at once */
};

/* What a vault is made with; only the first start reads it. */
struct vault_birth {
	const char *name;
	int64_t retention_days; /* 7..90 */
	bool purge_protection;
};

/* Make DIR and the vault in it unless it is there; then open it with its master key. */
int vault_create(const char *dir, const struct vault_birth *birth,
		 const struct master_source *source, struct vault *ret_vault,
		 struct errmsg *reterr) WARN_UNUSED;

/* Open an existing vault; `source` NULL: without its master key. */
int vault_open(const char *dir, const struct master_source *source, struct vault *ret_vault,
	       struct errmsg *reterr) WARN_UNUSED;

void vault_release(struct vault *v);

/* DIR must be ours and closed to others. Makes it when `create`. */
int vault_dir_open(const char *dir, bool create, int *ret_fd, struct errmsg *reterr) WARN_UNUSED;

/* -EBUSY when a server runs on DIR: held until the descriptor is closed. */
int vault_lock(const struct vault *v, int *ret_fd) WARN_UNUSED;

/* Seconds since 1970; a shift set for tests counts only where faults are allowed. */
int64_t vault_now(const struct vault *v, sqlite3 *db);

/* A random UUID, version 4, as text. */
int random_uuid(char out[static UUID_TEXT_LEN]) WARN_UNUSED;

static inline void heavy_done_(sem_t **gate)
{
	sem_post(*gate);
}
static inline sem_t *heavy_enter_(const sem_t *gate)
{
	while (sem_wait((sem_t *)(uintptr_t)gate) < 0)
		; /* EINTR */
	return (sem_t *)(uintptr_t)gate;
}
/* Until the end of the block, one of the vault's few places for heavy work. */
#define HEAVY_SCOPE(v)                                                                             \
	CLEANUP(heavy_done_)                                                                       \
	__attribute__((unused)) sem_t *heavy_scope_ = heavy_enter_(&(v)->heavy)

#endif
