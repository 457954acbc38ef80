/* SPDX-License-Identifier: Apache-2.0 */
/* A vault made and opened. What is in it is for others. */
#include "vault.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tdefs/crypto.h"

#include "fault.h"

#define CHECK_LABEL	 "master-check"
#define TOKEN_LABEL	 "token-key"
#define HEAVY_PLACES_MIN 4

int random_uuid(char out[static UUID_TEXT_LEN])
{
	uint8_t uuid[16];

	if (random_bytes(uuid, sizeof(uuid)) < 0)
		return -EIO;
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	uuid_format(uuid, out);
	return 0;
}

int64_t vault_now(const struct vault *v, sqlite3 *db)
{
	return (int64_t)time(NULL) + (v->faults_allowed ? fault_clock_shift(db) : 0);
}

int vault_dir_open(const char *dir, bool create, int *ret_fd, struct errmsg *reterr)
{
	struct stat st;
	int fd;

	if (create && mkdir(dir, 0700) < 0 && errno != EEXIST) {
		errmsg_next(reterr, "make the directory above it first");
		return errmsg_fail(reterr, -errno, EXIT_CODE_CONFIG, "%s: cannot be made: %s", dir,
				   errno_text(errno));
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		errmsg_next(reterr, "name the vault's directory with --data DIR");
		return errmsg_fail(reterr, -errno, EXIT_CODE_CONFIG, "%s: %s", dir,
				   errno_text(errno));
	}
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0) {
		*ret_fd = fd;
		return 0;
	}
	close(fd);
	errmsg_next(reterr, "chmod 700 %s, as its owner", dir);
	return errmsg_fail(reterr, -EACCES, EXIT_CODE_CONFIG,
			   "%s: the vault's directory must be yours and closed to everybody else",
			   dir);
}

int vault_lock(const struct vault *v, int *ret_fd)
{
	int fd = openat(v->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int new_sealed(sqlite3 *db, const struct secret *master, const char *label)
{
	CLEANUP_SECRET struct secret *key = secret_new(32);
	CLEANUP_FREE uint8_t *sealed = NULL;
	size_t len = 0;
	int r;

	if (!key)
		return -ENOMEM;
	r = random_bytes(secret_bytes(key), 32);
	if (r == 0)
		r = seal(master, label, secret_view(key), 32, &sealed, &len);
	return r < 0 ? r : db_meta_set_blob(db, label, sealed, len);
}

static int read_sealed(sqlite3 *db, const struct secret *master, const char *label,
		       struct secret **ret_key)
{
	CLEANUP_FREE uint8_t *sealed = NULL;
	size_t len;
	int r = db_meta_blob(db, label, &sealed, &len);

	return r < 0 ? r : unseal(master, label, sealed, len, ret_key);
}

/* In the caller's transaction: everything a vault must have. */
static int give_birth(sqlite3 *db, const struct vault_birth *birth, const uint8_t *salt,
		      const struct secret *master)
{
	char tenant[UUID_TEXT_LEN];
	int r = random_uuid(tenant);

	if (r == 0)
		r = db_meta_set_blob(db, "salt", salt, MASTER_SALT_LEN);
	if (r == 0)
		r = db_meta_set_text(db, "tenant", tenant);
	if (r == 0)
		r = db_meta_set_text(db, "name", birth->name);
	if (r == 0)
		r = db_meta_set_number(db, "retention_days", birth->retention_days);
	if (r == 0)
		r = db_meta_set_number(db, "purge_protection", birth->purge_protection);
	if (r == 0)
		r = new_sealed(db, master, TOKEN_LABEL);
	return r < 0 ? r : new_sealed(db, master, CHECK_LABEL);
}

static int load_values(sqlite3 *db, struct vault *v)
{
	int64_t number;
	int r = db_meta_text(db, "tenant", v->tenant, sizeof(v->tenant));

	if (r == 0)
		r = db_meta_text(db, "name", v->name, sizeof(v->name));
	if (r == 0)
		r = db_meta_number(db, "retention_days", &v->retention_days);
	if (r == 0)
		r = db_meta_number(db, "purge_protection", &number);
	if (r == 0)
		v->purge_protection = number != 0;
	if (r == 0 && db_meta_text(db, "url", v->url, sizeof(v->url)) < 0)
		v->url[0] = '\0';
	return r;
}

static int unlock(sqlite3 *db, const struct master_source *source, struct vault *v,
		  struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *check = NULL;
	CLEANUP_FREE uint8_t *salt = NULL;
	size_t len;
	int r = db_meta_blob(db, "salt", &salt, &len);

	if (r < 0 || len != MASTER_SALT_LEN)
		return errmsg_fail(reterr, -EBADMSG, EXIT_CODE_FAILED, "%s: the vault is damaged",
				   v->dir);
	r = master_load(source, MASTER_EXISTING, v->dir, salt, &v->master, reterr);
	if (r < 0)
		return r;
	r = read_sealed(db, v->master, CHECK_LABEL, &check);
	if (r == 0)
		r = read_sealed(db, v->master, TOKEN_LABEL, &v->token_key);
	if (r < 0) {
		errmsg_next(reterr, "use the key this vault was made with: --master-key or "
				    "--passphrase-file");
		return errmsg_fail(reterr, r, EXIT_CODE_CONFIG,
				   "%s: the master key does not open this vault", v->dir);
	}
	return 0;
}

static int open_values(struct vault *v, sqlite3 *db, const struct master_source *source,
		       struct errmsg *reterr)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int r = load_values(db, v);

	if (r < 0)
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "%s: the vault is damaged: %s",
				   v->dir, errno_text(r));
	v->resource = DEFAULT_RESOURCE;
	v->token_lifetime = DEFAULT_TOKEN_LIFETIME;
	if (sem_init(&v->heavy, 0, (unsigned)(cpus > HEAVY_PLACES_MIN ? cpus : HEAVY_PLACES_MIN)) <
	    0)
		return -errno;
	return source ? unlock(db, source, v, reterr) : 0;
}

int vault_open(const char *dir, const struct master_source *source, struct vault *ret_vault,
	       struct errmsg *reterr)
{
	CLEANUP_DB sqlite3 *db = NULL;
	struct vault v = { .dir = dir, .dirfd = -1 };
	int r = vault_dir_open(dir, false, &v.dirfd, reterr);

	if (r == 0)
		r = db_open(dir, DB_EXISTING, &db, reterr);
	if (r == 0)
		r = open_values(&v, db, source, reterr);
	if (r < 0)
		vault_release(&v);
	else
		*ret_vault = v;
	return r;
}

/* With the write lock held, so that two first starts make one vault. */
static int create_locked(sqlite3 *db, const char *dir, const struct vault_birth *birth,
			 const struct master_source *source, bool *ret_created,
			 struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *master = NULL;
	uint8_t salt[MASTER_SALT_LEN];
	char tenant[UUID_TEXT_LEN];
	int r = db_meta_text(db, "tenant", tenant, sizeof(tenant));

	if (r != -ENOENT)
		return r;
	if (random_bytes(salt, sizeof(salt)) < 0)
		return -EIO;
	r = master_load(source, MASTER_CREATE, dir, salt, &master, reterr);
	if (r == 0)
		r = give_birth(db, birth, salt, master);
	*ret_created = r == 0;
	return r;
}

int vault_create(const char *dir, const struct vault_birth *birth,
		 const struct master_source *source, struct vault *ret_vault, struct errmsg *reterr)
{
	CLEANUP_CLOSE int dirfd = -1;
	CLEANUP_DB sqlite3 *db = NULL;
	bool created = false;
	int r = vault_dir_open(dir, true, &dirfd, reterr);

	if (r == 0)
		r = db_open(dir, DB_CREATE, &db, reterr);
	if (r < 0)
		return r;
	r = db_begin(db);
	if (r == 0)
		r = create_locked(db, dir, birth, source, &created, reterr);
	if (r == 0)
		r = db_commit(db);
	if (r < 0) {
		db_rollback(db);
		return reterr->text[0]
			       ? r
			       : errmsg_fail(reterr, r, EXIT_CODE_FAILED,
					     "%s: cannot make a vault: %s", dir, errno_text(r));
	}
	r = vault_open(dir, source, ret_vault, reterr);
	if (r == 0)
		ret_vault->just_created = created;
	return r;
}

void vault_release(struct vault *v)
{
	secret_free(v->master);
	secret_free(v->token_key);
	if (v->dirfd >= 0)
		close(v->dirfd);
	v->master = v->token_key = NULL;
	v->dirfd = -1;
}
