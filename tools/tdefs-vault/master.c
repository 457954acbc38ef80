/* SPDX-License-Identifier: Apache-2.0 */
/* Where the master key comes from: a file, a systemd credential, a passphrase. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tdefs/atomic_file.h"
#include "tdefs/crypto.h"

#include "seal.h"

#define PASSPHRASE_MAX 1024
#define PASSPHRASE_MIN 12
/* 128 MiB and about half a second; only a start and the commands that use keys pay it. */
#define SCRYPT_N (1ULL << 17)
#define SCRYPT_R 8
#define SCRYPT_P 1

/* The credential's path is kept here; set before threads start. */
static char credential_path[PATH_MAX];

const char *master_path(const struct master_source *source)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	if (source->key_path)
		return source->key_path;
	if (credentials) {
		int n = snprintf(credential_path, sizeof(credential_path), "%s/" MASTER_CREDENTIAL,
				 credentials);

		if (n < (int)sizeof(credential_path) && access(credential_path, F_OK) == 0)
			return credential_path;
	}
	return MASTER_DEFAULT_PATH;
}

/* Whether `path` lies, or would, in the vault's own directory, symbolic links resolved. */
static bool is_inside(const char *path, const char *dir)
{
	CLEANUP_FREE char *parent = strdup(path);
	CLEANUP_FREE char *real_dir = realpath(dir, NULL);
	CLEANUP_FREE char *real = NULL;
	size_t len = real_dir ? strlen(real_dir) : 0;
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (slash)
		*slash = '\0';
	real = realpath(!slash ? "." : slash == parent ? "/" : parent, NULL);
	return real && real_dir && strncmp(real, real_dir, len) == 0 &&
	       (real[len] == '/' || real[len] == '\0');
}

static int check_file(int fd, const char *path, struct errmsg *reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return errmsg_fail(reterr, -errno, EXIT_CODE_FAILED, "%s: %s", path,
				   errno_text(errno));
	if (S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()) &&
	    (st.st_mode & 077) == 0)
		return 0;
	errmsg_next(reterr, "chown root %s; chmod 600 %s", path, path);
	return errmsg_fail(
		reterr, -EACCES, EXIT_CODE_CONFIG,
		"%s: a secret's file must be regular, owned by root or you, and closed to "
		"everybody else",
		path);
}

/* The file's bytes in `buf`: the count, or a negative errno; -ENOENT is left to the caller. */
static ssize_t read_secret_file(const char *path, uint8_t *buf, size_t max, struct errmsg *reterr)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT
				       : errmsg_fail(reterr, -errno, EXIT_CODE_CONFIG, "%s: %s",
						     path, errno_text(errno));
	r = check_file(fd, path, reterr);
	if (r < 0)
		return r;
	n = sysio_pread_full(&sysio_kernel, fd, buf, max, 0);
	if (n < 0)
		return errmsg_fail(reterr, (int)n, EXIT_CODE_FAILED, "%s: %s", path,
				   errno_text((int)n));
	return n;
}

static int missing(const char *path, struct errmsg *reterr)
{
	errmsg_next(reterr, "bring the key back, or name its place with --master-key or "
			    "--passphrase-file; without it the vault's keys cannot be opened");
	return errmsg_fail(reterr, -ENOENT, EXIT_CODE_CONFIG, "%s: there is no master key", path);
}

static int create_file(const char *path, const struct secret *key, struct errmsg *reterr)
{
	CLEANUP_FREE char *dir = strdup(path);
	CLEANUP_CLOSE int dirfd = -1;
	char *slash = dir ? strrchr(dir, '/') : NULL;
	const char *name = slash ? slash + 1 : path;
	int r;

	if (!dir)
		return -ENOMEM;
	if (slash)
		*slash = '\0';
	if (slash && slash != dir && mkdir(dir, 0755) < 0 && errno != EEXIST)
		return errmsg_fail(reterr, -errno, EXIT_CODE_CONFIG, "%s: %s", dir,
				   errno_text(errno));
	dirfd = open(!slash ? "." : slash == dir ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dirfd < 0 ? -errno
		      : atomic_file_write(&sysio_kernel, dirfd, name, 0600, secret_view(key),
					  MASTER_KEY_LEN);
	if (r < 0)
		return errmsg_fail(reterr, r, EXIT_CODE_CONFIG,
				   "%s: cannot write a new master key: %s", path, errno_text(r));
	return 0;
}

static int from_file(const char *path, enum master_mode mode, struct secret *key,
		     struct errmsg *reterr)
{
	uint8_t buf[MASTER_KEY_LEN + 1];
	ssize_t n = read_secret_file(path, buf, sizeof(buf), reterr);

	if (n == MASTER_KEY_LEN)
		memcpy(secret_bytes(key), buf, MASTER_KEY_LEN);
	secret_wipe(buf, sizeof(buf));
	if (n == MASTER_KEY_LEN)
		return 0;
	if (n == -ENOENT && mode == MASTER_CREATE) {
		if (random_bytes(secret_bytes(key), MASTER_KEY_LEN) < 0)
			return -EIO;
		return create_file(path, key, reterr);
	}
	if (n == -ENOENT)
		return missing(path, reterr);
	if (n < 0)
		return (int)n;
	errmsg_next(reterr, "it holds exactly %d bytes; name another with --master-key",
		    MASTER_KEY_LEN);
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "%s: this is no master key", path);
}

static int from_passphrase(const char *path, const uint8_t *salt, struct secret *key,
			   struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *text = secret_new(PASSPHRASE_MAX);
	ssize_t n;
	int ok;

	if (!text)
		return -ENOMEM;
	n = read_secret_file(path, secret_bytes(text), PASSPHRASE_MAX, reterr);
	if (n == -ENOENT)
		return missing(path, reterr);
	if (n < 0)
		return (int)n;
	while (n > 0 && strchr("\r\n", secret_view(text)[n - 1]))
		n--;
	if (n < PASSPHRASE_MIN || n == PASSPHRASE_MAX)
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "%s: a passphrase has %d to %d characters", path, PASSPHRASE_MIN,
				   PASSPHRASE_MAX - 1);
	ok = EVP_PBE_scrypt((const char *)secret_view(text), (size_t)n, salt, MASTER_SALT_LEN,
			    SCRYPT_N, SCRYPT_R, SCRYPT_P, 256ULL << 20, secret_bytes(key),
			    MASTER_KEY_LEN);
	return ok == 1 ? 0 : -EIO;
}

int master_load(const struct master_source *source, enum master_mode mode, const char *dir,
		const uint8_t salt[static MASTER_SALT_LEN], struct secret **ret_key,
		struct errmsg *reterr)
{
	const char *path = source->passphrase_path ? source->passphrase_path : master_path(source);
	CLEANUP_SECRET struct secret *key = secret_new(MASTER_KEY_LEN);
	int r;

	if (!key)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED,
				   "no locked memory for the master key (see ulimit -l)");
	if (is_inside(path, dir)) {
		errmsg_next(reterr, "keep it elsewhere, best on another disk: --master-key FILE");
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "%s: the master key must not lie in the vault's directory",
				   path);
	}
	r = source->passphrase_path ? from_passphrase(path, salt, key, reterr)
				    : from_file(path, mode, key, reterr);
	if (r == 0)
		*ret_key = TAKE_PTR(key);
	return r;
}
