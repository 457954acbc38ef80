/* SPDX-License-Identifier: Apache-2.0 */
/* Client assertions: a certificate's own (RFC 7523) and federated ones. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "oauth.h"
#include "rsakey.h"
#include "tdefs/base64url.h"
#include "token.h"

#define FEDERATED_AUDIENCE "api://AzureADTokenExchange"
#define LEEWAY		   300 /* seconds; the signer's clock is another */

static const char *claim(const struct jwt *jwt, const char *name)
{
	const char *text = json_string_value(json_object_get(jwt->payload, name));

	return text ? text : "";
}

bool assertion_subject(const char *assertion, char *out, size_t len)
{
	CLEANUP_JWT struct jwt jwt = { 0 };

	if (!assertion[0] || jwt_parse(assertion, &jwt) < 0)
		return false;
	(void)snprintf(out, len, "%s", claim(&jwt, "sub"));
	return out[0] != '\0';
}

static int answered(int r)
{
	return r < 0 ? r : ANSWERED;
}

static int bad_signature(struct request *rq, struct answer *a, const char *why)
{
	return answered(oauth_error(rq, a, 401, "invalid_client", 700027,
				    "Client assertion contains an invalid signature. [Reason - %s]",
				    why));
}

static void format_time(json_int_t when, char *out, size_t len)
{
	time_t t = (time_t)when;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, len, "%Y-%m-%dT%H:%M:%S.0000000Z", &tm) == 0)
		out[0] = '\0';
}

static int check_times(struct request *rq, struct answer *a, const struct jwt *jwt)
{
	json_int_t exp = json_integer_value(json_object_get(jwt->payload, "exp"));
	json_int_t nbf = json_integer_value(json_object_get(jwt->payload, "nbf"));
	char now[40], from[40], until[40];

	if (exp + LEEWAY > rq->now && nbf - LEEWAY <= rq->now)
		return 0;
	format_time((json_int_t)rq->now, now, sizeof(now));
	format_time(nbf, from, sizeof(from));
	format_time(exp, until, sizeof(until));
	return answered(
		oauth_error(rq, a, 401, "invalid_client", 700024,
			    "Client assertion is not within its valid time range. Current time: "
			    "%s, assertion valid from %s, expiry time of assertion %s.",
			    now, from, until));
}

static int verify(const struct jwt *jwt, EVP_PKEY *key)
{
	const char *name = json_string_value(json_object_get(jwt->header, "alg"));
	const struct rsa_alg *alg = name ? rsa_signature_alg(name) : NULL;
	uint8_t digest[64];
	size_t len;
	int r;

	if (!alg || !EVP_PKEY_is_a(key, "RSA"))
		return 0;
	r = rsa_alg_digest(alg, jwt->text, jwt->text_len, digest, &len);
	return r < 0 ? r : rsa_verify(key, alg, digest, len, jwt->signature, jwt->signature_len);
}

static EVP_PKEY *certificate_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = cert ? X509_get_pubkey(cert) : NULL;

	X509_free(cert);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

/* The endpoint it was made for; libraries use the token endpoint or the issuer. */
static bool audience_is_ours(const struct request *rq, const char *audience)
{
	static const char *const ends[] = { "/oauth2/v2.0/token", "/oauth2/token", "/v2.0", "/",
					    "" };
	char ours[400];

	for (size_t i = 0; i < 2 * ARRAY_SIZE(ends); i++) {
		(void)snprintf(ours, sizeof(ours), "%s/%s%s", rq->base,
			       i & 1 ? OAUTH_PRIVATE_TENANT : rq->vault->tenant, ends[i / 2]);
		if (strcasecmp(ours, audience) == 0)
			return true;
	}
	return false;
}

static int check_certificate(struct request *rq, struct answer *a, const struct identity *id,
			     const struct jwt *jwt)
{
	CLEANUP_PKEY EVP_PKEY *key = certificate_key(id->certificate);
	int r;

	if (!key)
		return -EBADMSG;
	r = verify(jwt, key);
	if (r < 0)
		return r;
	if (r == 0)
		return bad_signature(rq, a, "The key was not found.");
	if (strcasecmp(claim(jwt, "iss"), id->client_id) != 0 ||
	    strcasecmp(claim(jwt, "sub"), id->client_id) != 0)
		return answered(oauth_error(rq, a, 401, "invalid_client", 700021,
					    "Client assertion application identifier doesn't match "
					    "'client_id' parameter."));
	if (!audience_is_ours(rq, claim(jwt, "aud")))
		return answered(oauth_error(
			rq, a, 401, "invalid_client", 700023,
			"Client assertion audience claim does not match Realm issuer."));
	return check_times(rq, a, jwt);
}

static int public_number(const json_t *jwk, const char *name, uint8_t *out, size_t max,
			 size_t *ret_len)
{
	const json_t *value = json_object_get(jwk, name);
	ssize_t n = json_is_string(value) ? base64url_decode(json_string_value(value),
							     json_string_length(value), out, max)
					  : -EINVAL;

	*ret_len = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : -EINVAL;
}

/* 1 when a key of the set with the token's kid verifies it. */
static int verify_with_set(const struct jwt *jwt, const char *jwks)
{
	CLEANUP_JSON json_t *set = json_loads(jwks, 0, NULL);
	const char *kid = json_string_value(json_object_get(jwt->header, "kid"));
	const json_t *jwk;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(set, "keys"), i, jwk)
	{
		const char *id = json_string_value(json_object_get(jwk, "kid"));
		CLEANUP_PKEY EVP_PKEY *key = NULL;
		struct rsa_public public;

		if (kid && id && strcmp(kid, id) != 0)
			continue;
		if (public_number(jwk, "n", public.n, RSA_MAX_LEN, &public.n_len) < 0 ||
		    public_number(jwk, "e", public.e, RSA_E_MAX, &public.e_len) < 0 ||
		    rsa_from_public(&public, &key) < 0)
			continue;
		r = verify(jwt, key);
		if (r != 0)
			return r;
	}
	return r;
}

static bool audience_is_exchange(const struct jwt *jwt)
{
	const json_t *aud = json_object_get(jwt->payload, "aud");
	const json_t *first = json_is_array(aud) ? json_array_get(aud, 0) : aud;
	const char *text = json_string_value(first);

	return text && strcmp(text, FEDERATED_AUDIENCE) == 0;
}

static int check_federated(struct request *rq, struct answer *a, const struct identity *id,
			   const struct jwt *jwt)
{
	int r;

	if (strcmp(claim(jwt, "iss"), id->issuer) != 0 ||
	    strcmp(claim(jwt, "sub"), id->subject) != 0 || !audience_is_exchange(jwt))
		return answered(oauth_error(rq, a, 401, "invalid_client", 700213,
					    "No matching federated identity record found for "
					    "presented assertion subject "
					    "'%s'. Check your federated identity credential "
					    "Subject, Audience and Issuer "
					    "against the presented assertion.",
					    claim(jwt, "sub")));
	r = verify_with_set(jwt, id->jwks);
	if (r < 0)
		return r;
	return r ? check_times(rq, a, jwt) : bad_signature(rq, a, "The key was not found.");
}

int assertion_check(struct request *rq, struct answer *a, const struct identity *id,
		    const char *assertion)
{
	CLEANUP_JWT struct jwt jwt = { 0 };

	if (jwt_parse(assertion, &jwt) < 0)
		return answered(oauth_error(rq, a, 401, "invalid_client", 50027,
					    "JWT token is invalid or malformed."));
	if (id->certificate)
		return check_certificate(rq, a, id, &jwt);
	if (id->jwks)
		return check_federated(rq, a, id, &jwt);
	return answered(
		oauth_error(rq, a, 401, "invalid_client", 700025,
			    "Client application has no configured credentials for assertions."));
}
