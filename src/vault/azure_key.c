/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Public keys and lists hold no secret: jansson reads them. */
#include "azure_key.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "azure_answer.h"
#include "tdefs/base64url.h"
#include "tdefs/json_scan.h"

#define INTEGER_MAX_BYTES 1024

static json_t *parse_object(const struct net_answer *a)
{
	json_t *object = json_loadb((const char *)secret_view(a->body), a->body_len,
				    JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

static bool is_asked(const char *text, const struct kid *asked, struct kid *ret_kid)
{
	struct kid expected = *asked;

	if (!text || kid_parse(text, ret_kid) < 0 || !ret_kid->version[0])
		return false;
	if (!asked->version[0])
		memcpy(expected.version, ret_kid->version, sizeof(expected.version));
	return kid_equal(ret_kid, &expected);
}

/* Seconds since 1970; absent or no number: 0. */
static uint64_t time_member(const json_t *attributes, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(attributes, name));

	return v > 0 ? (uint64_t)v : 0;
}

static bool has_operation(const json_t *key, const char *operation)
{
	const json_t *operations = json_object_get(key, "key_ops");
	const json_t *entry;
	size_t i;

	json_array_foreach(operations, i,
			   entry) if (json_string_value(entry) &&
				      strcmp(json_string_value(entry), operation) == 0) return true;
	return false;
}

static unsigned bits_of(const uint8_t *n, size_t len)
{
	unsigned bits;

	while (len > 0 && n[0] == 0) {
		n++;
		len--;
	}
	bits = (unsigned)len * 8;
	for (uint8_t top = 0x80; len > 0 && !(n[0] & top); top >>= 1)
		bits--;
	return bits;
}

static ssize_t integer_member(const json_t *key, const char *name, uint8_t *out)
{
	const char *text = json_string_value(json_object_get(key, name));

	return text ? base64url_decode(text, strlen(text), out, INTEGER_MAX_BYTES) : -1;
}

static const char *public_key_parse(const json_t *key, struct vault_key *k)
{
	const char *kty = json_string_value(json_object_get(key, "kty"));
	uint8_t n[INTEGER_MAX_BYTES], e[INTEGER_MAX_BYTES];
	ssize_t n_len, e_len;

	if (!kty || (strcmp(kty, "RSA") != 0 && strcmp(kty, "RSA-HSM") != 0))
		return "the key is not an RSA key";
	n_len = integer_member(key, "n", n);
	e_len = integer_member(key, "e", e);
	if (n_len <= 0 || e_len <= 0)
		return "the key has no modulus or exponent";
	if (jwk_thumbprint(n, (size_t)n_len, e, (size_t)e_len, k->thumbprint) < 0)
		return "the key has no thumbprint";
	k->bits = bits_of(n, (size_t)n_len);
	k->hsm = strcmp(kty, "RSA-HSM") == 0;
	return NULL;
}

void azure_recovery_parse(const char *level, struct vault_key *key)
{
	bool soft = false, purgeable = false, unknown = false;
	const char *at = level;

	azure_copy_text(key->recovery_level, sizeof(key->recovery_level), level);
	for (size_t len;; at += len + 1) {
		len = strcspn(at, "+");
		if ((len == 11 && strncmp(at, "Recoverable", len) == 0) ||
		    (len == 21 && strncmp(at, "CustomizedRecoverable", len) == 0))
			soft = true;
		else if (len == 9 && strncmp(at, "Purgeable", len) == 0)
			purgeable = true;
		else if (len != 21 || strncmp(at, "ProtectedSubscription", len) != 0)
			unknown = true;
		if (!at[len])
			break;
	}
	key->soft_delete = soft;
	key->purge_protection = soft && !purgeable && !unknown;
}

/* Absent means true, as in the SDKs; anything but true does not. */
static bool is_enabled(const json_t *attributes)
{
	const json_t *enabled = json_object_get(attributes, "enabled");

	return !enabled || json_is_true(enabled);
}

static void attributes_parse(const json_t *attributes, struct vault_key *k)
{
	const char *level = json_string_value(json_object_get(attributes, "recoveryLevel"));

	k->enabled = is_enabled(attributes);
	k->not_before = time_member(attributes, "nbf");
	k->expires = time_member(attributes, "exp");
	k->created = time_member(attributes, "created");
	azure_recovery_parse(level ? level : "", k);
}

const char *azure_key_parse(const struct net_answer *a, const struct kid *asked,
			    struct vault_key *ret_key)
{
	CLEANUP_JSON json_t *bundle = parse_object(a);
	const json_t *key = json_object_get(bundle, "key");
	const char *text = json_string_value(json_object_get(key, "kid"));
	struct vault_key k = { .remote = true };
	const char *wrong;
	struct kid kid;

	if (!json_is_object(key) || !json_is_object(json_object_get(bundle, "attributes")))
		return "the answer is not a key";
	if (!is_asked(text, asked, &kid))
		return "the answer is about another key";
	wrong = public_key_parse(key, &k);
	if (wrong)
		return wrong;
	(void)snprintf(k.kid, sizeof(k.kid), "%s", text);
	k.may_wrap = has_operation(key, "wrapKey");
	k.may_unwrap = has_operation(key, "unwrapKey");
	attributes_parse(json_object_get(bundle, "attributes"), &k);
	*ret_key = k;
	return NULL;
}

static const char *version_parse(const json_t *entry, const struct kid *asked,
				 struct vault_versions *list)
{
	const char *text = json_string_value(json_object_get(entry, "kid"));
	const json_t *attributes = json_object_get(entry, "attributes");
	struct kid any = *asked, kid;
	struct vault_version *v;

	any.version[0] = '\0';
	if (!is_asked(text, &any, &kid) || !json_is_object(attributes))
		return "the list holds something that is no version of this key";
	if (list->count == VAULT_VERSIONS_MAX)
		return "the key has too many versions";
	v = &list->versions[list->count++];
	(void)snprintf(v->kid, sizeof(v->kid), "%s", text);
	v->enabled = is_enabled(attributes);
	v->created = time_member(attributes, "created");
	return NULL;
}

/* nextLink is a URL of the vault's own; anything else would carry our token elsewhere. */
static bool is_on_vault(const char *url, const struct kid *asked)
{
	char bare[KID_VAULT_MAX], with_port[KID_VAULT_MAX];
	size_t len;

	(void)snprintf(bare, sizeof(bare), "https://%s/", asked->host);
	(void)snprintf(with_port, sizeof(with_port), "https://%s:%u/", asked->host, asked->port);
	len = strlen(with_port);
	if (strncasecmp(url, with_port, len) == 0)
		return true;
	return asked->port == HTTPS_PORT && strncasecmp(url, bare, strlen(bare)) == 0;
}

const char *azure_versions_parse(const struct net_answer *a, const struct kid *asked,
				 struct vault_versions *list, char ret_next[static AZURE_URL_MAX])
{
	CLEANUP_JSON json_t *page = parse_object(a);
	const json_t *values = json_object_get(page, "value");
	const json_t *next = json_object_get(page, "nextLink");
	const json_t *entry;
	size_t i;

	ret_next[0] = '\0';
	if (!json_is_array(values))
		return "the answer is not a list";
	json_array_foreach(values, i, entry)
	{
		const char *wrong = version_parse(entry, asked, list);

		if (wrong)
			return wrong;
	}
	if (!next || json_is_null(next))
		return NULL;
	if (!json_is_string(next) || json_string_length(next) >= AZURE_URL_MAX ||
	    !is_on_vault(json_string_value(next), asked))
		return "the list goes on at another place";
	(void)snprintf(ret_next, AZURE_URL_MAX, "%s", json_string_value(next));
	return NULL;
}

static int newer_first(const void *a, const void *b)
{
	const struct vault_version *x = a, *y = b;

	return x->created < y->created ? 1 : x->created > y->created ? -1 : 0;
}

void azure_versions_sort(struct vault_versions *list)
{
	qsort(list->versions, list->count, sizeof(list->versions[0]), newer_first);
}

const char *azure_kid_parse(const struct net_answer *a, const struct kid *asked,
			    char ret_kid[static KID_MAX + 1])
{
	struct json_span span;
	char text[KID_MAX + 1];
	struct kid kid;

	if (json_scan_member((const char *)secret_view(a->body), a->body_len, "kid", &span) < 0 ||
	    span.kind != JSON_SPAN_STRING || span.len > KID_MAX)
		return "the answer names no key";
	memcpy(text, span.start, span.len);
	text[span.len] = '\0';
	if (strlen(text) != span.len || !is_asked(text, asked, &kid))
		return "the answer is about another key";
	memcpy(ret_kid, text, span.len + 1);
	return NULL;
}
