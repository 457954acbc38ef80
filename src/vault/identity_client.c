/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens by OAuth 2.0 client credentials (RFC 6749, 4.4): a secret, an assertion
 * signed with a certificate's key (RFC 7523, 2.2), or a federated token.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "azure_answer.h"
#include "form.h"
#include "identity.h"
#include "tdefs/base64url.h"
#include "tdefs/bytes.h"
#include "tdefs/crypto.h"
#include "tdefs/secret_file.h"

#define FORM_MAX	  65536
#define SECRET_MAX	  4096
#define PEM_MAX		  65536
#define FEDERATED_MAX	  32768
#define ASSERTION_SECONDS 600
#define TOKEN_ANSWER_MAX  ((size_t)256 * 1024)
#define ASSERTION_TYPE	  "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static void cleanup_form(struct form *f)
{
	form_release(f);
}

static void cleanup_rsa_key(struct rsa_key **key)
{
	rsa_key_free(*key);
}

static int out_of_memory(struct errmsg *reterr)
{
	errmsg_next(reterr, "free memory, raise RLIMIT_MEMLOCK, then try again");
	return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory for a request");
}

static void add_text(struct form *f, const char *name, const char *value)
{
	form_field(f, name, value, strlen(value));
}

/* A file's text without the line end that editors leave. */
static size_t trimmed(const struct secret *s)
{
	size_t len = secret_len(s);

	while (len > 0 && strchr(" \t\r\n", secret_view(s)[len - 1]))
		len--;
	return len;
}

static int add_client_secret(const struct identity_settings *id, struct form *f,
			     struct errmsg *reterr)
{
	const struct secret *from_environment =
		identity_environment_secret(ENVIRONMENT_CLIENT_SECRET);
	CLEANUP_SECRET struct secret *from_file = NULL;
	int r;

	if (!id->client_secret_file) {
		form_field(f, "client_secret", secret_view(from_environment),
			   trimmed(from_environment));
		return 0;
	}
	r = secret_file_read("client_secret_file", id->client_secret_file, SECRET_MAX,
			     SECRET_FILE_PRIVATE, &from_file, reterr);
	if (r == 0)
		form_field(f, "client_secret", secret_view(from_file), trimmed(from_file));
	return r;
}

/* It is renewed about hourly: read each time (key-vault REST, workload identity). */
static int add_federated_token(const struct identity_settings *id, struct form *f,
			       struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *token = NULL;
	int r = secret_file_read("federated_token_file", id->federated_token_file, FEDERATED_MAX,
				 SECRET_FILE_PROJECTED, &token, reterr);

	if (r < 0)
		return r;
	add_text(f, "client_assertion_type", ASSERTION_TYPE);
	form_field(f, "client_assertion", secret_view(token), trimmed(token));
	return 0;
}

/* The header and claims of a client assertion, without the signature (RFC 7523, 3). */
static int write_assertion(const struct identity_settings *id, const char *audience,
			   const uint8_t thumbprint[static SHA256_LEN], uint64_t now,
			   struct form *ret_text)
{
	char header[128], claims[2048], x5t[64], uuid[UUID_TEXT_LEN];
	uint8_t jti[16];
	int n;

	if (random_bytes(jti, sizeof(jti)) < 0)
		return -EIO;
	(void)snprintf(header, sizeof(header),
		       "{\"alg\":\"PS256\",\"typ\":\"JWT\",\"x5t#S256\":\"%s\"}",
		       base64url_encode(thumbprint, SHA256_LEN, x5t));
	n = snprintf(claims, sizeof(claims),
		     "{\"aud\":\"%s\",\"iss\":\"%s\",\"sub\":\"%s\",\"jti\":\"%s\",\"nbf\":%" PRIu64
		     ",\"exp\":%" PRIu64 "}",
		     audience, id->client_id, id->client_id, uuid_format(jti, uuid), now,
		     now + ASSERTION_SECONDS);
	if (n < 0 || (size_t)n >= sizeof(claims) || strpbrk(id->client_id, "\"\\"))
		return -EINVAL;
	form_base64url(ret_text, header, strlen(header));
	form_text(ret_text, ".");
	form_base64url(ret_text, claims, (size_t)n);
	return ret_text->bad ? -ENOMEM : 0;
}

static int sign_assertion(const struct identity_settings *id, const char *audience, uint64_t now,
			  struct form *ret_text, struct errmsg *reterr)
{
	CLEANUP(cleanup_rsa_key) struct rsa_key *key = NULL;
	CLEANUP_SECRET struct secret *pem = NULL;
	uint8_t thumbprint[SHA256_LEN], signature[RSA_WRAPPED_MAX];
	size_t len = 0;
	int r = secret_file_read("client_certificate_file", id->client_certificate_file, PEM_MAX,
				 SECRET_FILE_PRIVATE, &pem, reterr);

	if (r < 0)
		return r;
	r = certificate_thumbprint(pem, thumbprint);
	if (r == 0)
		r = rsa_key_from_pem(pem, &key);
	if (r == 0)
		r = write_assertion(id, audience, thumbprint, now, ret_text);
	if (r == 0)
		r = rsa_sign_ps256(key, secret_view(ret_text->bytes), ret_text->len, signature,
				   &len);
	if (r < 0) {
		errmsg_next(reterr, "give a PEM file with a certificate and its RSA private key, "
				    "without a passphrase");
		return errmsg_fail(reterr, r, EXIT_CODE_CONFIG,
				   "client_certificate_file %s: cannot sign with it",
				   id->client_certificate_file);
	}
	form_text(ret_text, ".");
	form_base64url(ret_text, signature, len);
	return 0;
}

static int add_certificate(const struct identity_settings *id, const char *url, uint64_t now,
			   struct form *f, struct errmsg *reterr)
{
	CLEANUP(cleanup_form) struct form assertion = form_new(8192);
	int r = sign_assertion(id, url, now, &assertion, reterr);

	if (r < 0)
		return r;
	add_text(f, "client_assertion_type", ASSERTION_TYPE);
	form_field(f, "client_assertion", secret_view(assertion.bytes), assertion.len);
	return 0;
}

static int make_form(const struct identity_settings *id, const struct clock *clock,
		     const struct token_wish *wish, const char *url, struct form *f,
		     struct errmsg *reterr)
{
	char scope[KID_VAULT_MAX + 16];
	int r;

	(void)snprintf(scope, sizeof(scope), "%s/.default", wish->resource);
	add_text(f, "grant_type", "client_credentials");
	add_text(f, "client_id", id->client_id);
	add_text(f, "scope", scope);
	if (id->kind == IDENTITY_CLIENT_SECRET)
		r = add_client_secret(id, f, reterr);
	else if (id->kind == IDENTITY_WORKLOAD)
		r = add_federated_token(id, f, reterr);
	else
		r = add_certificate(id, url, clock->now(), f, reterr);
	return r == 0 && f->bad ? out_of_memory(reterr) : r;
}

enum vault_verdict identity_client_token(const struct identity_settings *id, struct net *net,
					 const struct clock *clock, const struct token_wish *wish,
					 struct token *ret_token, struct vault_report *rep)
{
	CLEANUP(cleanup_form) struct form form = form_new(FORM_MAX);
	CLEANUP_SECRET struct secret *body = NULL;
	char url[512];
	struct errmsg error = { 0 };
	int r;

	(void)snprintf(url, sizeof(url), "https://%s/%s/oauth2/v2.0/token", wish->authority_host,
		       wish->tenant);
	r = make_form(id, clock, wish, url, &form, &error);
	if (r == 0) {
		body = form_take(&form);
		r = body ? 0 : out_of_memory(&error);
	}
	if (r < 0)
		return identity_local_failure(rep, &error);
	return identity_ask(net, clock,
			    &(struct net_request){ .method = "POST",
						   .url = url,
						   .content_type =
							   "application/x-www-form-urlencoded",
						   .body = body,
						   .ca_file = id->ca_file,
						   .timeout_ms = wish->timeout_ms,
						   .answer_max = TOKEN_ANSWER_MAX },
			    "token of the identity", ret_token, rep);
}
