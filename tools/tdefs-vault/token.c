/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens issued and checked. Who gets one is oauth.c's to decide. */
#include "token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tdefs/base64url.h"

#define PART_MAX      8192
#define MISSING_TOKEN "AKV10000: Request is missing a Bearer or PoP token."

void jwt_release(struct jwt *jwt)
{
	json_decref(jwt->header);
	json_decref(jwt->payload);
	jwt->header = jwt->payload = NULL;
}

static json_t *parse_part(const char *text, size_t len)
{
	uint8_t bytes[PART_MAX];
	ssize_t n = base64url_decode(text, len, bytes, sizeof(bytes));
	json_t *part = NULL;

	if (n > 0)
		part = json_loadb((const char *)bytes, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	secret_wipe(bytes, sizeof(bytes));
	if (part && !json_is_object(part)) {
		json_decref(part);
		return NULL;
	}
	return part;
}

int jwt_parse(const char *text, struct jwt *ret_jwt)
{
	const char *dot = strchr(text, '.'), *last = dot ? strchr(dot + 1, '.') : NULL;
	struct jwt jwt = { .text = text };
	ssize_t n;

	if (!last || strchr(last + 1, '.'))
		return -EINVAL;
	jwt.text_len = (size_t)(last - text);
	n = base64url_decode(last + 1, strlen(last + 1), jwt.signature, sizeof(jwt.signature));
	if (n <= 0)
		return -EINVAL;
	jwt.signature_len = (size_t)n;
	jwt.header = parse_part(text, (size_t)(dot - text));
	jwt.payload = parse_part(dot + 1, (size_t)(last - dot - 1));
	if (!jwt.header || !jwt.payload) {
		jwt_release(&jwt);
		return -EINVAL;
	}
	*ret_jwt = jwt;
	return 0;
}

static char *encode_json(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	char *encoded = text ? base64url_encode_new(text, strlen(text)) : NULL;

	json_decref(object);
	free(text);
	return encoded;
}

int token_issue(const struct vault *v, const struct identity *id, const char *base,
		const char *audience, int64_t now, char **ret_token)
{
	CLEANUP_FREE char *header =
		encode_json(json_pack("{s:s, s:s}", "typ", "JWT", "alg", "HS256"));
	CLEANUP_FREE char *payload = NULL, *text = NULL;
	char issuer[400], uti[UUID_TEXT_LEN], signature[BASE64URL_LEN(SHA256_LEN)];
	uint8_t mac[SHA256_LEN];

	(void)snprintf(issuer, sizeof(issuer), "%s/%s/", base, v->tenant);
	if (random_uuid(uti) < 0)
		return -EIO;
	payload = encode_json(json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "aud", audience,
		"iss", issuer, "iat", (json_int_t)now, "nbf", (json_int_t)now, "exp",
		(json_int_t)now + (json_int_t)v->token_lifetime, "appid", id->client_id, "idtyp",
		"app", "oid", id->oid, "sub", id->oid, "tid", v->tenant, "uti", uti, "ver", "1.0"));
	if (!header || !payload || asprintf(&text, "%s.%s", header, payload) < 0)
		return -ENOMEM;
	if (hmac_sha256(v->token_key, text, strlen(text), mac) < 0)
		return -EIO;
	if (asprintf(ret_token, "%s.%s", text, base64url_encode(mac, sizeof(mac), signature)) < 0)
		return -ENOMEM;
	return 0;
}

static int refuse(struct request *rq, struct answer *a, const char *message)
{
	(void)snprintf(a->authenticate, sizeof(a->authenticate),
		       "Bearer authorization=\"%s/%s\", resource=\"%s\"", rq->base,
		       rq->vault->tenant, rq->vault->resource);
	if (answer_error(a, 401, "Unauthorized", NULL, "%s", message) < 0)
		return -ENOMEM;
	return ANSWERED;
}

static bool is_signed_by_us(const struct vault *v, const struct jwt *jwt)
{
	const char *alg = json_string_value(json_object_get(jwt->header, "alg"));
	uint8_t mac[SHA256_LEN];

	return alg && strcmp(alg, "HS256") == 0 && jwt->signature_len == sizeof(mac) &&
	       hmac_sha256(v->token_key, jwt->text, jwt->text_len, mac) == 0 &&
	       constant_time_equal(mac, jwt->signature, sizeof(mac));
}

static const char *claim(const struct jwt *jwt, const char *name)
{
	const char *text = json_string_value(json_object_get(jwt->payload, name));

	return text ? text : "";
}

static json_int_t claim_time(const struct jwt *jwt, const char *name)
{
	return json_integer_value(json_object_get(jwt->payload, name));
}

static int fill_caller(struct request *rq, const struct jwt *jwt)
{
	CLEANUP_IDENTITY struct identity id = { 0 };
	struct caller *c = &rq->caller;
	int r;

	(void)snprintf(c->client_id, sizeof(c->client_id), "%s", claim(jwt, "appid"));
	(void)snprintf(c->oid, sizeof(c->oid), "%s", claim(jwt, "oid"));
	(void)snprintf(c->issuer, sizeof(c->issuer), "%s", claim(jwt, "iss"));
	r = identity_by_client_id(rq->db, c->client_id, &id);
	if (r == 1)
		(void)snprintf(c->name, sizeof(c->name), "%s", id.name);
	return r < 0 ? r : 0;
}

int token_check(struct request *rq, struct answer *a)
{
	const char *text = rq->authorization;
	CLEANUP_JWT struct jwt jwt = { 0 };
	char message[512];

	if (!text || strncasecmp(text, "Bearer ", 7) != 0)
		return refuse(rq, a, MISSING_TOKEN);
	if (jwt_parse(text + 7 + strspn(text + 7, " "), &jwt) < 0)
		return refuse(rq, a,
			      "[BearerReadAccessTokenFailed] Error validating token: 'S2S12005'.");
	if (!is_signed_by_us(rq->vault, &jwt))
		return refuse(rq, a,
			      "AKV10046: Unable to resolve the key used for signature validation.");
	if (strcmp(claim(&jwt, "aud"), rq->vault->resource) != 0) {
		(void)snprintf(message, sizeof(message),
			       "AKV10022: Invalid audience. Expected %s, found: %s.",
			       rq->vault->resource, claim(&jwt, "aud"));
		return refuse(rq, a, message);
	}
	if (claim_time(&jwt, "exp") <= rq->now)
		return refuse(rq, a, "[TokenExpired] Error validating token: 'S2S12086'.");
	return fill_caller(rq, &jwt);
}
