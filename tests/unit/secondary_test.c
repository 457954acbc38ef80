/* SPDX-License-Identifier: Apache-2.0 */
/* The slot's key in another vault: which version it is, and what that one opens. */
#include "../support/test.h"

#include <stdio.h>
#include <string.h>

#include "tdefs/secondary.h"

#define PRIMARY	  "https://a.example/keys/tde/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SECONDARY "https://b.example/keys/tde"
#define VERSIONS  3

/*
 * A vault whose keys are a byte each: wrapping puts it in front, unwrapping
 * takes it away. Version n (0: the newest) is SECONDARY/nnn...
 */
static struct fake {
	struct vault vault;
	uint8_t keys[VERSIONS];
	enum vault_verdict get[VERSIONS], list, unwrap;
	bool spoils; /* gives back another plaintext */
	unsigned gets, lists;
} fake;

static struct volume_header header;
static struct secret *dek;

static void kid_of(unsigned n, char kid[static KID_MAX + 1])
{
	char version[KID_VERSION_LEN + 1];

	memset(version, '0' + (int)n, KID_VERSION_LEN);
	version[KID_VERSION_LEN] = '\0';
	(void)snprintf(kid, KID_MAX + 1, SECONDARY "/%s", version);
}

static unsigned version_of(const char *kid)
{
	return strcmp(kid, SECONDARY) == 0 || strcmp(kid, PRIMARY) == 0
		       ? 0
		       : (unsigned)(kid[strlen(kid) - 1] - '0');
}

static enum vault_verdict verdict(struct vault_report *rep, enum vault_verdict v)
{
	*rep = (struct vault_report){ .verdict = v };
	if (v != VAULT_GRANTED)
		(void)errmsg_fail(&rep->error, 0, EXIT_CODE_FAILED, "as the test says");
	return v;
}

static enum vault_verdict fake_get(struct vault *v, const char *kid, unsigned timeout_ms,
				   struct vault_key *ret_key, struct vault_report *rep)
{
	unsigned n = version_of(kid);

	(void)v, (void)timeout_ms;
	fake.gets++;
	if (fake.get[n] == VAULT_GRANTED) {
		*ret_key = (struct vault_key){ .thumbprint = { fake.keys[n] } };
		kid_of(n, ret_key->kid);
	}
	return verdict(rep, fake.get[n]);
}

static enum vault_verdict fake_wrap(struct vault *v, const char *kid, const struct secret *plain,
				    unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				    struct vault_report *rep)
{
	struct vault_wrapped w = { .algorithm = WRAP_RSA_OAEP_256 };

	(void)v, (void)timeout_ms;
	w.bytes[0] = fake.keys[version_of(kid)];
	memcpy(w.bytes + 1, secret_view(plain), secret_len(plain));
	w.len = secret_len(plain) + 1;
	(void)snprintf(w.kid, sizeof(w.kid), "%s", kid);
	*ret_wrapped = w;
	return verdict(rep, VAULT_GRANTED);
}

static enum vault_verdict fake_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				      unsigned timeout_ms, struct secret **ret_plain,
				      struct vault_report *rep)
{
	struct secret *s;

	(void)v, (void)timeout_ms;
	if (fake.unwrap != VAULT_GRANTED)
		return verdict(rep, fake.unwrap);
	if (wrapped->bytes[0] != fake.keys[version_of(wrapped->kid)])
		return verdict(rep, VAULT_BROKEN);
	s = secret_new(wrapped->len - 1);
	assert_non_null(s);
	memcpy(secret_bytes(s), wrapped->bytes + 1, wrapped->len - 1);
	if (fake.spoils)
		secret_bytes(s)[0] ^= 1;
	*ret_plain = s;
	return verdict(rep, VAULT_GRANTED);
}

static enum vault_verdict fake_versions(struct vault *v, const char *kid, unsigned timeout_ms,
					struct vault_versions *ret_versions,
					struct vault_report *rep)
{
	(void)v, (void)kid, (void)timeout_ms;
	fake.lists++;
	ret_versions->count = VERSIONS;
	for (unsigned i = 0; i < VERSIONS; i++)
		kid_of(i, ret_versions->versions[i].kid);
	return verdict(rep, fake.list);
}

static const struct vault_ops fake_ops = {
	.name = "fake",
	.get = fake_get,
	.wrap = fake_wrap,
	.unwrap = fake_unwrap,
	.versions = fake_versions,
};

/* A header that the key 7 wrapped, and a vault in which its newest version is that key. */
static int setup(void **state)
{
	const struct vault_key key = { .kid = PRIMARY, .thumbprint = { 7 } };
	struct errmsg err = { 0 };

	(void)state;
	fake = (struct fake){ .vault.ops = &fake_ops, .keys = { 7, 8, 9 } };
	return keyring_create(&fake.vault, &key, 1, &header, &dek, &err);
}

static int teardown(void **state)
{
	(void)state;
	secret_free(dek);
	dek = NULL;
	return 0;
}

static enum vault_verdict find(const char *configured, char kid[static KID_MAX + 1],
			       struct vault_report *rep)
{
	kid[0] = '\0';
	fake.gets = fake.lists = 0;
	return secondary_find(&fake.vault, configured, volume_header_active_slot(&header), "v",
			      &clock_kernel, 1000, kid, rep);
}

static void assert_found(const char *configured, unsigned n)
{
	char kid[KID_MAX + 1], expected[KID_MAX + 1];
	struct vault_report rep;

	assert_int_equal(find(configured, kid, &rep), VAULT_GRANTED);
	kid_of(n, expected);
	assert_string_equal(kid, expected);
}

static void assert_not_found(const char *configured, enum vault_verdict expected, const char *says)
{
	char kid[KID_MAX + 1];
	struct vault_report rep;

	assert_int_equal(find(configured, kid, &rep), expected);
	assert_non_null(strstr(rep.error.text, says));
	assert_string_equal(kid, "");
}

static void the_newest_version_is_looked_at_first(void **state)
{
	(void)state;
	assert_found(SECONDARY, 0);
	assert_int_equal(fake.gets, 1);
	assert_int_equal(fake.lists, 0);
}

static void an_older_version_is_found_by_its_thumbprint(void **state)
{
	(void)state;
	memcpy(fake.keys, (uint8_t[]){ 9, 8, 7 }, VERSIONS);
	assert_found(SECONDARY, 2);
	fake.get[1] = VAULT_DENIED; /* disabled, say; that is none of ours */
	assert_found(SECONDARY, 2);
	fake.get[1] = VAULT_UNREACHABLE; /* it may be that one */
	assert_not_found(SECONDARY, VAULT_UNREACHABLE, "as the test says");
}

static void a_version_that_is_given_is_the_only_one(void **state)
{
	char second[KID_MAX + 1];

	(void)state;
	kid_of(1, second);
	assert_not_found(second, VAULT_BROKEN, "is not the key that wrapped its DEK");
	assert_int_equal(fake.lists, 0);
	memcpy(fake.keys, (uint8_t[]){ 9, 7, 8 }, VERSIONS);
	assert_found(second, 1);
}

static void another_key_is_broken_and_not_denied(void **state)
{
	(void)state;
	memcpy(fake.keys, (uint8_t[]){ 1, 2, 3 }, VERSIONS);
	assert_not_found(SECONDARY, VAULT_BROKEN, "is not the key that wrapped its DEK");
	assert_int_equal(fake.lists, 1);
	fake.list = VAULT_DENIED;
	assert_not_found(SECONDARY, VAULT_BROKEN, "cannot be listed: as the test says");
	fake.list = VAULT_UNREACHABLE;
	assert_not_found(SECONDARY, VAULT_UNREACHABLE, "as the test says");
	fake.get[0] = VAULT_DENIED;
	assert_not_found(SECONDARY, VAULT_DENIED, "as the test says");
}

static enum vault_verdict probe(struct vault_report *rep)
{
	return secondary_probe(&fake.vault, SECONDARY, volume_header_active_slot(&header), "v",
			       &clock_kernel, 1000, rep);
}

static void it_is_probed_by_the_canary_that_the_primary_wrapped(void **state)
{
	struct vault_report rep;

	(void)state;
	assert_int_equal(probe(&rep), VAULT_GRANTED);
	fake.spoils = true;
	assert_int_equal(probe(&rep), VAULT_BROKEN);
	fake.spoils = false;
	fake.unwrap = VAULT_DENIED;
	assert_int_equal(probe(&rep), VAULT_DENIED);
	fake.unwrap = VAULT_GRANTED;
	fake.keys[0] = 8;
	assert_int_equal(probe(&rep), VAULT_BROKEN);
}

static enum vault_verdict unlock(struct secret **ret_dek, struct vault_report *rep)
{
	return secondary_unlock(&fake.vault, SECONDARY, &header, "v", 1000, ret_dek, rep);
}

static void it_gives_the_dek_of_the_header_or_nothing(void **state)
{
	struct vault_report rep;
	struct secret *got = NULL;

	(void)state;
	assert_int_equal(unlock(&got, &rep), VAULT_GRANTED);
	assert_true(constant_time_equal(secret_view(got), secret_view(dek), secret_len(dek)));
	secret_free(got);
	got = NULL;
	fake.spoils = true;
	assert_int_equal(unlock(&got, &rep), VAULT_BROKEN);
	assert_null(got);
	fake.spoils = false;
	fake.keys[0] = 8;
	assert_int_equal(unlock(&got, &rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "wrong protector"));
	fake.keys[0] = 7;
	header.macs[0].mac[0] ^= 1;
	assert_int_equal(unlock(&got, &rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "tampered"));
	fake.unwrap = VAULT_UNREACHABLE;
	assert_int_equal(unlock(&got, &rep), VAULT_UNREACHABLE);
	assert_null(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_newest_version_is_looked_at_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_older_version_is_found_by_its_thumbprint, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_version_that_is_given_is_the_only_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(another_key_is_broken_and_not_denied, setup,
						teardown),
		cmocka_unit_test_setup_teardown(it_is_probed_by_the_canary_that_the_primary_wrapped,
						setup, teardown),
		cmocka_unit_test_setup_teardown(it_gives_the_dek_of_the_header_or_nothing, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
