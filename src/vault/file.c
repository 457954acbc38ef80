/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simplest vault: an RSA private key in a PEM file on this machine. The
 * file is read anew for each call, so that taking it away takes the key away.
 * For tests, single machines and first steps; it proves nothing about who
 * holds the key.
 */
#include "tdefs/vault.h"

#include <errno.h>
#include <string.h>

#include "tdefs/secret_file.h"

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

static enum vault_verdict no_memory(struct vault_report *rep, const char *path)
{
	rep->verdict = VAULT_UNREACHABLE;
	errmsg_next(&rep->error, "free memory, raise RLIMIT_MEMLOCK, then try again");
	(void)errmsg_fail(&rep->error, -ENOMEM, EXIT_CODE_FAILED, "protector file %s: %s", path,
			  errno_text(ENOMEM));
	return rep->verdict;
}

/* Whoever takes the file away takes the key away; a file that is wrong says nothing of the key. */
static enum vault_verdict read_pem(const char *path, struct secret **ret_pem,
				   struct vault_report *rep)
{
	int r = secret_file_read("protector file", path, PEM_MAX, SECRET_FILE_PRIVATE, ret_pem,
				 &rep->error);

	if (r == 0)
		rep->verdict = VAULT_GRANTED;
	else if (r == -ENOENT || r == -ENOTDIR)
		rep->verdict = VAULT_DENIED;
	else
		rep->verdict = r == -EPERM || r == -EINVAL ? VAULT_BROKEN : VAULT_UNREACHABLE;
	return rep->verdict;
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

static enum vault_verdict file_get(struct vault *v, const char *kid, unsigned timeout_ms,
				   struct vault_key *ret_key, struct vault_report *rep)
{
	CLEANUP(cleanup_rsa_key) struct rsa_key *key = NULL;
	struct vault_key k = { 0 };

	(void)v, (void)timeout_ms;
	if (load(kid, &key, rep) != VAULT_GRANTED)
		return rep->verdict;
	if (strlen(kid) > KID_MAX || rsa_key_thumbprint(key, k.thumbprint) < 0)
		return broken(rep, -EIO, kid + strlen(PREFIX), "cannot compute its thumbprint",
			      "check the key with: openssl pkey -check -noout -in FILE");
	memcpy(k.kid, kid, strlen(kid) + 1);
	k.bits = rsa_key_bits(key);
	*ret_key = k;
	return VAULT_GRANTED;
}

static enum vault_verdict file_wrap(struct vault *v, const char *kid, const struct secret *plain,
				    unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				    struct vault_report *rep)
{
	CLEANUP(cleanup_rsa_key) struct rsa_key *key = NULL;
	struct vault_wrapped w = { .algorithm = WRAP_RSA_OAEP_256 };

	(void)v, (void)timeout_ms;
	if (load(kid, &key, rep) != VAULT_GRANTED)
		return rep->verdict;
	if (strlen(kid) > KID_MAX || rsa_wrap(key, plain, w.bytes, &w.len) < 0)
		return broken(rep, -EIO, kid + strlen(PREFIX), "cannot wrap with this key",
			      "use an RSA key of 2048 to 4096 bits");
	memcpy(w.kid, kid, strlen(kid) + 1);
	*ret_wrapped = w;
	return VAULT_GRANTED;
}

static enum vault_verdict file_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				      unsigned timeout_ms, struct secret **ret_plain,
				      struct vault_report *rep)
{
	CLEANUP(cleanup_rsa_key) struct rsa_key *key = NULL;
	int r;

	(void)v, (void)timeout_ms;
	if (load(wrapped->kid, &key, rep) != VAULT_GRANTED)
		return rep->verdict;
	r = rsa_unwrap(key, wrapped->algorithm, wrapped->bytes, wrapped->len, ret_plain);
	if (r == -ENOMEM)
		return no_memory(rep, wrapped->kid + strlen(PREFIX));
	if (r < 0)
		return broken(rep, -EKEYREJECTED, wrapped->kid + strlen(PREFIX),
			      "this key does not open the wrapped DEK",
			      "use the key that the header names: tdefsctl header dump");
	return VAULT_GRANTED;
}

static int file_open(const char *kid, const struct settings *settings, const struct clock *clock,
		     struct vault **ret_vault, struct errmsg *reterr)
{
	struct vault *v = malloc(sizeof(*v));

	(void)kid, (void)settings, (void)clock;
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
