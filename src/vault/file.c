/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simplest vault: an RSA private key in a PEM file on this machine. The
 * file is read anew for each call, so that taking it away takes the key away.
 * For tests, single machines and first steps; it proves nothing about who
 * holds the key.
 */
#include "tdefs/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX	"file:"
#define PEM_MAX 65536

static enum vault_verdict broken(struct vault_report *rep, int r, const char *path,
				 const char *reason, const char *next)
{
	rep->verdict = VAULT_BROKEN;
	errmsg_next(&rep->error, "%s", next);
	(void)errmsg_fail(&rep->error, r, EXIT_CODE_CONFIG, "protector file %s: %s", path, reason);
	return rep->verdict;
}

static enum vault_verdict open_failed(struct vault_report *rep, int err, const char *path)
{
	bool gone = err == ENOENT || err == ENOTDIR;

	rep->verdict = gone ? VAULT_DENIED : VAULT_UNREACHABLE;
	errmsg_next(&rep->error, gone ? "put the key file back, or correct \"protector\""
				 : err == ENOMEM
					 ? "free memory, raise RLIMIT_MEMLOCK, then try again"
					 : "make the file readable, then try again");
	(void)errmsg_fail(&rep->error, -err, gone ? EXIT_CODE_CONFIG : EXIT_CODE_FAILED,
			  "protector file %s: cannot open: %s", path, errno_text(err));
	return rep->verdict;
}

/* DESIGN.md, security: regular, owned by root or oneself, no group or other bits. */
static enum vault_verdict check_file(int fd, const char *path, struct stat *st,
				     struct vault_report *rep)
{
	if (fstat(fd, st) < 0)
		return open_failed(rep, errno, path);
	if (!S_ISREG(st->st_mode))
		return broken(rep, -EINVAL, path, "not a regular file", "name a PEM file");
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return broken(rep, -EPERM, path, "owned by another user than root",
			      "chown root: the file");
	if (st->st_mode & 077)
		return broken(rep, -EPERM, path, "its group or others have access to it",
			      "chmod 0600 the file, and treat the key as exposed if it ever was");
	if (st->st_size == 0 || st->st_size > PEM_MAX)
		return broken(rep, -EINVAL, path, "empty, or too long to be a key",
			      "name the PEM file of an RSA private key");
	return VAULT_GRANTED;
}

static enum vault_verdict read_pem(const char *path, struct secret **ret_pem,
				   struct vault_report *rep)
{
	/* O_NONBLOCK: a FIFO must not hang the mount. */
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_SECRET struct secret *pem = NULL;
	enum vault_verdict v;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return open_failed(rep, errno, path);
	v = check_file(fd, path, &st, rep);
	if (v != VAULT_GRANTED)
		return v;
	pem = secret_new((size_t)st.st_size);
	if (!pem)
		return open_failed(rep, ENOMEM, path);
	n = read(fd, secret_bytes(pem), secret_len(pem));
	if (n != st.st_size)
		return open_failed(rep, n < 0 ? errno : EIO, path);
	*ret_pem = TAKE_PTR(pem);
	return VAULT_GRANTED;
}

static enum vault_verdict load(const char *kid, struct rsa_key **ret_key, struct vault_report *rep)
{
	const char *path = kid + strlen(PREFIX);
	CLEANUP_SECRET struct secret *pem = NULL;
	enum vault_verdict v;
	int r;

	*rep = (struct vault_report){ .verdict = VAULT_GRANTED };
	v = read_pem(path, &pem, rep);
	if (v != VAULT_GRANTED)
		return v;
	r = rsa_key_from_pem(pem, ret_key);
	if (r == -EACCES)
		return broken(rep, r, path, "the key is protected by a passphrase",
			      "store it without one; the file mode 0600 protects it");
	if (r == -EKEYREJECTED)
		return broken(
			rep, r, path, "not an RSA key",
			"make one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072");
	if (r < 0)
		return broken(
			rep, r, path, "no private key in PEM form",
			"make one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072");
	return VAULT_GRANTED;
}

static void cleanup_rsa_key(struct rsa_key **key)
{
	rsa_key_free(*key);
}

static enum vault_verdict file_get(struct vault *v, const char *kid, struct vault_key *ret_key,
				   struct vault_report *rep)
{
	CLEANUP(cleanup_rsa_key) struct rsa_key *key = NULL;
	struct vault_key k = { 0 };

	(void)v;
	if (load(kid, &key, rep) != VAULT_GRANTED)
		return rep->verdict;
	if (strlen(kid) > VAULT_KID_MAX || rsa_key_thumbprint(key, k.thumbprint) < 0)
		return broken(rep, -EIO, kid + strlen(PREFIX), "cannot compute its thumbprint",
			      "check the key with: openssl pkey -check -noout -in FILE");
	memcpy(k.kid, kid, strlen(kid) + 1);
	k.bits = rsa_key_bits(key);
	*ret_key = k;
	return VAULT_GRANTED;
}

static enum vault_verdict file_wrap(struct vault *v, const char *kid, const struct secret *plain,
				    struct vault_wrapped *ret_wrapped, struct vault_report *rep)
{
	CLEANUP(cleanup_rsa_key) struct rsa_key *key = NULL;
	struct vault_wrapped w = { .algorithm = WRAP_RSA_OAEP_256 };

	(void)v;
	if (load(kid, &key, rep) != VAULT_GRANTED)
		return rep->verdict;
	if (strlen(kid) > VAULT_KID_MAX || rsa_wrap(key, plain, w.bytes, &w.len) < 0)
		return broken(rep, -EIO, kid + strlen(PREFIX), "cannot wrap with this key",
			      "use an RSA key of 2048 to 4096 bits");
	memcpy(w.kid, kid, strlen(kid) + 1);
	*ret_wrapped = w;
	return VAULT_GRANTED;
}

static enum vault_verdict file_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				      struct secret **ret_plain, struct vault_report *rep)
{
	CLEANUP(cleanup_rsa_key) struct rsa_key *key = NULL;
	int r;

	(void)v;
	if (load(wrapped->kid, &key, rep) != VAULT_GRANTED)
		return rep->verdict;
	r = rsa_unwrap(key, wrapped->algorithm, wrapped->bytes, wrapped->len, ret_plain);
	if (r == -ENOMEM)
		return open_failed(rep, ENOMEM, wrapped->kid + strlen(PREFIX));
	if (r < 0)
		return broken(rep, -EKEYREJECTED, wrapped->kid + strlen(PREFIX),
			      "this key does not open the wrapped DEK",
			      "use the key that the header names: tdefsctl header dump");
	return VAULT_GRANTED;
}

static int file_open(struct vault **ret_vault, struct errmsg *reterr)
{
	struct vault *v = malloc(sizeof(*v));

	if (!v)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "file vault: out of memory");
	v->ops = &vault_file_ops;
	*ret_vault = v;
	return 0;
}

static void file_close(struct vault *v)
{
	free(v);
}

const struct vault_ops vault_file_ops = {
	.name = "file",
	.kid_prefix = PREFIX,
	.open = file_open,
	.close = file_close,
	.get = file_get,
	.wrap = file_wrap,
	.unwrap = file_unwrap,
};
