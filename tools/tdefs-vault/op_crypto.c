/* SPDX-License-Identifier: Apache-2.0 */
/* Keys used: wrap, unwrap, encrypt, decrypt, sign, verify, and when each is refused. */
#include <errno.h>
#include <string.h>

#include "api.h"
#include "tdefs/base64url.h"

/* What an operation needs of its key, and whether it makes something new under it. */
struct use {
	const char *name; /* as the messages say it */
	enum key_op op;
	bool makes; /* refused before nbf and after exp; the others work for ever */
	bool private;
};

static int refused(int r)
{
	return r < 0 ? r : ANSWERED;
}

static int check_use(const struct request *rq, struct answer *a, const struct key_version *kv,
		     const struct use *use)
{
	if (!kv->enabled)
		return refused(answer_error(a, 403, "Forbidden", "KeyDisabled",
					    "Operation %s is not allowed on a disabled key.",
					    use->name));
	if (!(kv->ops & use->op))
		return refused(answer_error(a, 403, "Forbidden", "KeyOperationForbidden",
					    "Operation %s is not permitted on this key.",
					    use->name));
	if (use->makes && kv->nbf != TIME_UNSET && rq->now < kv->nbf)
		return refused(answer_error(
			a, 403, "Forbidden", "KeyNotYetValid",
			"Operation %s is not allowed on a key that is not yet valid.", use->name));
	if (use->makes && kv->exp != TIME_UNSET && rq->now >= kv->exp)
		return refused(answer_error(a, 403, "Forbidden", "KeyExpired",
					    "Operation %s is not allowed on an expired key.",
					    use->name));
	return 0;
}

struct bytes {
	uint8_t data[RSA_MAX_LEN];
	size_t len;
};

static void bytes_release(struct bytes *b)
{
	secret_wipe(b->data, sizeof(b->data));
}
#define CLEANUP_BYTES CLEANUP(bytes_release)

static int take_bytes(const struct request *rq, struct answer *a, const char *name,
		      struct bytes *ret)
{
	const json_t *value = json_object_get(rq->body, name);
	ssize_t n;

	if (!json_is_string(value))
		return refused(answer_bad_parameter(a, "Property '%s' is required.\r\n", name));
	n = base64url_decode(json_string_value(value), json_string_length(value), ret->data,
			     sizeof(ret->data));
	if (n == -EBADMSG)
		return refused(answer_bad_parameter(a,
						    "Content of '%s' is not base64url.\r\n"
						    "Property '%s' is required.\r\n",
						    name, name));
	if (n <= 0)
		return refused(answer_bad_parameter(a, "The parameter is incorrect.\r\n"));
	ret->len = (size_t)n;
	return 0;
}

static int take_alg(const struct request *rq, struct answer *a,
		    const struct rsa_alg *(*by_name)(const char *), const struct rsa_alg **ret_alg)
{
	const char *name = json_string_value(json_object_get(rq->body, "alg"));

	if (!name)
		return refused(answer_bad_parameter(a, "Property 'alg' is required.\r\n"));
	*ret_alg = by_name(name);
	return *ret_alg ? 0 : refused(answer_bad_parameter(a, "Property has invalid value\r\n"));
}

/* The key that `use` needs, after every check. */
static int find_for(struct request *rq, struct answer *a, const struct use *use,
		    struct key_version *kv)
{
	int r = step_find(rq, a, kv);

	return r != 0 ? r : check_use(rq, a, kv, use);
}

static int open_key(const struct request *rq, const struct key_version *kv, const struct use *use,
		    EVP_PKEY **ret_key)
{
	return use->private ? key_private(rq->vault, kv, ret_key)
			    : rsa_from_public(&kv->public, ret_key);
}

/* Wrong input is the caller's 400; what is left is the vault's trouble. */
static int crypto_error(struct answer *a, int r)
{
	if (r == -EINVAL)
		return answer_bad_parameter(a, "The parameter is incorrect.\r\n");
	if (r == -EBADMSG)
		return answer_bad_parameter(a, "Error occurred while decoding OAEP padding.");
	return r;
}

static int answer_value(struct answer *a, const struct bytes *value)
{
	char text[BASE64URL_LEN(RSA_MAX_LEN)];
	int r;

	base64url_encode(value->data, value->len, text);
	r = answer_json(a, json_pack("{s:s, s:s}", "kid", a->kid, "value", text));
	secret_wipe(text, sizeof(text));
	return r;
}

typedef int (*crypt_fn)(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *in, size_t in_len,
			uint8_t *out, size_t *ret_len);

static int transform(struct request *rq, struct answer *a, const struct use *use,
		     const struct rsa_alg *(*by_name)(const char *), crypt_fn crypt)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_BYTES struct bytes in = { 0 }, out = { 0 };
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	const struct rsa_alg *alg;
	int r = find_for(rq, a, use, &kv);

	if (r == 0)
		r = take_alg(rq, a, by_name, &alg);
	if (r == 0)
		r = take_bytes(rq, a, "value", &in);
	if (r != 0)
		return r;
	{
		HEAVY_SCOPE(rq->vault);
		r = open_key(rq, &kv, use, &key);
		if (r < 0) /* not the caller's fault, whatever its errno */
			return r == -EINVAL || r == -EBADMSG ? -EIO : r;
		r = crypt(key, alg, in.data, in.len, out.data, &out.len);
	}
	return r < 0 ? crypto_error(a, r) : answer_value(a, &out);
}

int op_wrap(struct request *rq, struct answer *a)
{
	static const struct use use = { "wrapKey", OP_WRAP, .makes = true };

	return transform(rq, a, &use, rsa_encryption_alg, rsa_encrypt);
}

int op_unwrap(struct request *rq, struct answer *a)
{
	static const struct use use = { "unwrapKey", OP_UNWRAP, .private = true };

	return transform(rq, a, &use, rsa_encryption_alg, rsa_decrypt);
}

int op_encrypt(struct request *rq, struct answer *a)
{
	static const struct use use = { "encrypt", OP_ENCRYPT, .makes = true };

	return transform(rq, a, &use, rsa_encryption_alg, rsa_encrypt);
}

int op_decrypt(struct request *rq, struct answer *a)
{
	static const struct use use = { "decrypt", OP_DECRYPT, .private = true };

	return transform(rq, a, &use, rsa_encryption_alg, rsa_decrypt);
}

int op_sign(struct request *rq, struct answer *a)
{
	static const struct use use = { "sign", OP_SIGN, .makes = true, .private = true };

	return transform(rq, a, &use, rsa_signature_alg, rsa_sign);
}

int op_verify(struct request *rq, struct answer *a)
{
	static const struct use use = { "verify", OP_VERIFY, .makes = false };
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	struct bytes digest = { 0 }, signature = { 0 };
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	const struct rsa_alg *alg;
	int r = find_for(rq, a, &use, &kv);

	if (r == 0)
		r = take_alg(rq, a, rsa_signature_alg, &alg);
	if (r == 0)
		r = take_bytes(rq, a, "digest", &digest);
	if (r == 0)
		r = take_bytes(rq, a, "value", &signature);
	if (r != 0)
		return r;
	r = open_key(rq, &kv, &use, &key);
	if (r < 0)
		return -EIO;
	r = rsa_verify(key, alg, digest.data, digest.len, signature.data, signature.len);
	return r < 0 ? crypto_error(a, r) : answer_json(a, json_pack("{s:b}", "value", r));
}
