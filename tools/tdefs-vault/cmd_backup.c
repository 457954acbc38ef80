/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefs-vault backup, restore: the whole vault as one file, sealed under the
 * master key, which is not in it. The file: 16 bytes of magic, the salt of a
 * passphrase, then the sealed database.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tdefs/atomic_file.h"

#include "audit.h"
#include "cli.h"

#define MAGIC	   "tdefs-vault-b1\n"
#define MAGIC_LEN  16
#define HEADER_LEN (MAGIC_LEN + MASTER_SALT_LEN)
#define LABEL	   "vault-backup"
#define BACKUP_MAX (512U << 20)
#define WAL_FLAG_AT                                                                                \
	18 /* in SQLite's header: 2 write-ahead log, 1 none (SQLite file format, 1.3.3) */

/* A consistent image of the database, as a file that stands alone. */
static int serialize(sqlite3 *db, uint8_t **ret_image, size_t *ret_len)
{
	sqlite3_int64 len = 0;
	uint8_t *image = sqlite3_serialize(db, "main", &len, 0);

	if (!image)
		return -ENOMEM;
	if (len < 100 || len > BACKUP_MAX) {
		sqlite3_free(image);
		return -EFBIG;
	}
	image[WAL_FLAG_AT] = image[WAL_FLAG_AT + 1] = 1;
	*ret_image = image;
	*ret_len = (size_t)len;
	return 0;
}

static int make_file(struct local *local, uint8_t **ret_file, size_t *ret_len)
{
	CLEANUP_FREE uint8_t *salt = NULL, *sealed = NULL;
	uint8_t *image = NULL;
	size_t salt_len = 0, image_len = 0, sealed_len = 0;
	int r = db_meta_blob(local->db, "salt", &salt, &salt_len);

	if (r < 0)
		return r;
	if (!salt || salt_len != MASTER_SALT_LEN)
		return -EBADMSG;
	r = serialize(local->db, &image, &image_len);
	if (r == 0)
		r = seal(local->vault.master, LABEL, image, image_len, &sealed, &sealed_len);
	sqlite3_free(image);
	if (r < 0)
		return r;
	*ret_file = malloc(HEADER_LEN + sealed_len);
	if (!*ret_file)
		return -ENOMEM;
	memcpy(*ret_file, MAGIC, MAGIC_LEN);
	memcpy(*ret_file + MAGIC_LEN, salt, MASTER_SALT_LEN);
	memcpy(*ret_file + HEADER_LEN, sealed, sealed_len);
	*ret_len = HEADER_LEN + sealed_len;
	return 0;
}

static int write_file(const char *path, const uint8_t *data, size_t len)
{
	CLEANUP_FREE char *for_dir = strdup(path), *for_name = strdup(path);
	CLEANUP_CLOSE int dirfd = -1;

	if (!for_dir || !for_name)
		return -ENOMEM;
	dirfd = open(dirname(for_dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	return atomic_file_write(&sysio_kernel, dirfd, basename(for_name), 0600, data, len);
}

int verb_backup(struct call *call)
{
	const char *path = call->args[0];
	CLEANUP_FREE uint8_t *file = NULL;
	struct local local;
	size_t len = 0;
	int r, audited;

	if (local_open(call, true, &local) < 0)
		return call_failed(call);
	r = make_file(&local, &file, &len);
	if (r == 0)
		r = write_file(path, file, len);
	audited = audit_local(&local.vault, "backup", path, r < 0 ? errno_text(r) : "Success");
	local_close(&local);
	if (r < 0 || audited < 0)
		return call_errno(call, r < 0 ? r : audited, path);
	if (call->json)
		return print_json(json_pack("{s:s, s:I}", "file", path, "bytes", (json_int_t)len),
				  EXIT_CODE_DONE);
	printf("%s: %zu bytes\n  next: keep a copy of the master key elsewhere; without it this "
	       "file "
	       "is useless\n",
	       path, len);
	return EXIT_CODE_DONE;
}

static int no_backup(struct call *call, const char *path)
{
	errmsg_next(&call->err, "name a file that " PROGRAM " backup wrote");
	return errmsg_fail(&call->err, -EBADMSG, EXIT_CODE_FAILED, "%s: not a backup of a vault",
			   path);
}

static int read_file(struct call *call, const char *path, uint8_t **ret_file, size_t *ret_len)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg_fail(&call->err, -errno, EXIT_CODE_CONFIG, "%s: %s", path,
				   errno_text(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= HEADER_LEN || st.st_size > BACKUP_MAX)
		return no_backup(call, path);
	*ret_len = (size_t)st.st_size;
	*ret_file = malloc(*ret_len);
	if (!*ret_file)
		return -ENOMEM;
	n = sysio_pread_full(&sysio_kernel, fd, *ret_file, *ret_len, 0);
	if (n != st.st_size || memcmp(*ret_file, MAGIC, MAGIC_LEN) != 0)
		return no_backup(call, path);
	return 0;
}

static int unseal_image(struct call *call, const uint8_t *file, size_t len,
			struct secret **ret_image)
{
	CLEANUP_SECRET struct secret *master = NULL;
	int r = master_load(&call->master, MASTER_EXISTING, call->data, file + MAGIC_LEN, &master,
			    &call->err);

	if (r < 0)
		return r;
	r = unseal(master, LABEL, file + HEADER_LEN, len - HEADER_LEN, ret_image);
	if (r != -EBADMSG)
		return r;
	errmsg_next(&call->err,
		    "use the master key of the vault it was made from, and an undamaged "
		    "file");
	return errmsg_fail(&call->err, r, EXIT_CODE_CONFIG,
			   "%s: the master key does not open this backup", call->args[0]);
}

/* Never over a vault: what is in it would be lost. */
static int check_empty(struct call *call, int dirfd)
{
	if (faccessat(dirfd, DB_FILE, F_OK, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	errmsg_next(&call->err, "restore into an empty directory, or move that vault away first");
	return errmsg_fail(&call->err, -EEXIST, EXIT_CODE_POLICY, "%s: there is a vault here",
			   call->data);
}

static int check_restored(struct call *call, struct local *local)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(local->db, &stmt, "PRAGMA integrity_check", "");

	if (r == 0)
		r = db_step(stmt);
	if (r == 1 && strcmp(db_text(stmt, 0), "ok") == 0)
		return audit_local(&local->vault, "restore", call->args[0], "Success");
	return errmsg_fail(&call->err, -EBADMSG, EXIT_CODE_FAILED,
			   "%s: the restored vault is damaged", call->data);
}

int verb_restore(struct call *call)
{
	CLEANUP_SECRET struct secret *image = NULL;
	CLEANUP_FREE uint8_t *file = NULL;
	CLEANUP_CLOSE int dirfd = -1;
	struct local local = { .db = NULL };
	size_t len = 0;
	int r = read_file(call, call->args[0], &file, &len);

	if (r == 0)
		r = vault_dir_open(call->data, true, &dirfd, &call->err);
	if (r == 0)
		r = check_empty(call, dirfd);
	if (r == 0)
		r = unseal_image(call, file, len, &image);
	if (r == 0)
		r = atomic_file_write(&sysio_kernel, dirfd, DB_FILE, 0600, secret_view(image),
				      secret_len(image));
	if (r == 0)
		r = local_open(call, true, &local);
	if (r < 0)
		return call_errno(call, r, "restore");
	r = check_restored(call, &local);
	local_close(&local);
	if (r < 0)
		return call_errno(call, r, "restore");
	if (call->json)
		return print_json(json_pack("{s:s}", "data", call->data), EXIT_CODE_DONE);
	printf("restored into %s\n  next: " PROGRAM " serve --data %s\n", call->data, call->data);
	return EXIT_CODE_DONE;
}
