/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "webhook_target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tdefs/bytes.h"
#include "tdefs/secret_file.h"

#define SCHEME	   "https://"
#define SCHEME_LEN (sizeof(SCHEME) - 1)

static int refuse(struct errmsg *reterr, const char *name, const char *why)
{
	errmsg_next(reterr, "let its first line be https://HOST/..., and its second, if any, the "
			    "key of the signature");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "webhook_file %s: %s", name, why);
}

static int no_memory(struct errmsg *reterr)
{
	errmsg_next(reterr, "free memory, raise RLIMIT_MEMLOCK, then try again");
	return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
}

void webhook_target_free(struct webhook_target *t)
{
	if (!t)
		return;
	secret_free(t->url);
	secret_free(t->key);
	free(t->ca_file);
	free(t);
}

static void cleanup_target(struct webhook_target **t)
{
	webhook_target_free(*t);
}

struct span {
	const char *at;
	size_t len;
};

/* The next line of `rest`, without blanks at its end. */
static struct span next_line(struct span *rest)
{
	const char *end = memchr(rest->at, '\n', rest->len);
	struct span line = { rest->at, end ? (size_t)(end - rest->at) : rest->len };
	size_t taken = line.len + (end ? 1 : 0);

	rest->at += taken;
	rest->len -= taken;
	while (line.len > 0 && strchr(" \t\r", line.at[line.len - 1]))
		line.len--;
	return line;
}

static bool is_printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] > '~')
			return false;
	return true;
}

/* HOST or HOST:PORT; a user or a password there would be a secret beside the URL's. */
static bool is_host(struct span s)
{
	const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";

	for (size_t i = 0; i < s.len; i++)
		if (!memchr(good, s.at[i], sizeof(good) - 1))
			return false;
	return s.len > 0 && s.len < WEBHOOK_HOST_MAX && s.at[0] != ':';
}

static struct span host_of(struct span url)
{
	struct span host = { url.at + SCHEME_LEN, 0 };

	while (SCHEME_LEN + host.len < url.len && !strchr("/?#", host.at[host.len]))
		host.len++;
	return host;
}

static struct secret *copy(struct span s, size_t more)
{
	struct secret *secret = secret_new(s.len + more);

	if (secret)
		memcpy(secret_bytes(secret), s.at, s.len);
	return secret;
}

static int fill(struct webhook_target *t, const char *name, struct span url, struct span key,
		struct errmsg *reterr)
{
	struct span host;

	if (url.len < SCHEME_LEN || strncasecmp(url.at, SCHEME, SCHEME_LEN) != 0)
		return refuse(reterr, name, "its first line does not begin with https://");
	host = host_of(url);
	if (!is_printable(url) || !is_host(host))
		return refuse(reterr, name, "its first line is no URL");
	if (key.len > 0 && key.len < WEBHOOK_KEY_MIN)
		return refuse(reterr, name, "the key in its second line is shorter than 16 bytes");
	memcpy(t->host, host.at, host.len);
	t->url = copy(url, 1);
	if (key.len > 0)
		t->key = copy(key, 0);
	return t->url && (t->key || key.len == 0) ? 0 : no_memory(reterr);
}

int webhook_target_parse(const char *name, const struct secret *text,
			 struct webhook_target **ret_target, struct errmsg *reterr)
{
	struct span rest = { (const char *)secret_view(text), secret_len(text) };
	CLEANUP(cleanup_target) struct webhook_target *t = calloc(1, sizeof(*t));
	struct span url = next_line(&rest), key = next_line(&rest);
	int r;

	if (!t)
		return no_memory(reterr);
	while (rest.len > 0)
		if (next_line(&rest).len > 0)
			return refuse(reterr, name, "it has more than two lines");
	r = fill(t, name, url, key, reterr);
	if (r == 0)
		*ret_target = TAKE_PTR(t);
	return r;
}

static int set_ca_file(struct webhook_target *t, const char *ca_file, struct errmsg *reterr)
{
	if (!ca_file)
		return 0;
	if (access(ca_file, R_OK) < 0) {
		int r = -errno;

		errmsg_next(reterr, "put the roots there, in PEM, or correct \"webhook_ca_file\"");
		return errmsg_fail(reterr, r, EXIT_CODE_CONFIG,
				   "webhook_ca_file %s: cannot open: %s", ca_file, errno_text(r));
	}
	t->ca_file = strdup(ca_file);
	return t->ca_file ? 0 : no_memory(reterr);
}

int webhook_target_read(const char *file, const char *ca_file, struct webhook_target **ret_target,
			struct errmsg *reterr)
{
	CLEANUP(cleanup_target) struct webhook_target *t = NULL;
	CLEANUP_SECRET struct secret *text = NULL;
	int r = secret_file_read("webhook_file", file, WEBHOOK_FILE_MAX, SECRET_FILE_PRIVATE, &text,
				 reterr);

	if (r == 0)
		r = webhook_target_parse(file, text, &t, reterr);
	if (r == 0 && t)
		r = set_ca_file(t, ca_file, reterr);
	if (r == 0)
		*ret_target = TAKE_PTR(t);
	return r;
}

int webhook_signature(const struct secret *key, uint64_t now, const void *body, size_t len,
		      char ret_text[static WEBHOOK_SIGNATURE_LEN])
{
	char seconds[24], hex[HEX_LEN(SHA256_LEN)];
	CLEANUP_FREE char *data = NULL;
	uint8_t mac[SHA256_LEN];
	int n = snprintf(seconds, sizeof(seconds), "%" PRIu64 ".", now), r;

	data = malloc((size_t)n + len);
	if (!data)
		return -ENOMEM;
	memcpy(data, seconds, (size_t)n);
	memcpy(data + n, body, len);
	r = hmac_sha256(key, data, (size_t)n + len, mac);
	if (r < 0)
		return r;
	(void)snprintf(ret_text, WEBHOOK_SIGNATURE_LEN, "t=%" PRIu64 ",v1=%s", now,
		       hex_encode(mac, sizeof(mac), hex));
	return 0;
}
