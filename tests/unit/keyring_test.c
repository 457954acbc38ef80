/* SPDX-License-Identifier: Apache-2.0 */
/* The file vault, headers on disk, pins, and the way from a header to its DEK. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/temporary.h"
#include "tdefs/atomic_file.h"
#include "tdefs/keyring.h"
#include "tdefs/protector.h"

static char dir[TEMPORARY_PATH_MAX], pem[TEMPORARY_PATH_MAX + 16], kid[TEMPORARY_PATH_MAX + 32];
static int dir_fd;
static struct vault *vault;
static const struct settings no_settings;

#define TIMEOUT VAULT_COMMAND_TIMEOUT_MS

static void copy_key(const char *name, mode_t mode)
{
	char command[1024];

	(void)snprintf(command, sizeof(command), "cp %s/%s %s", TDEFS_VECTORS, name, pem);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
	assert_int_equal(chmod(pem, mode), 0);
}

static int setup(void **state)
{
	struct errmsg err;

	(void)state;
	if (temporary_directory(dir) < 0)
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	(void)snprintf(pem, sizeof(pem), "%s/key.pem", dir);
	(void)snprintf(kid, sizeof(kid), "file:%s", pem);
	copy_key("oaep_key.pem", 0600);
	return vault_open(kid, &no_settings, &clock_kernel, &vault, &err);
}

static int teardown(void **state)
{
	(void)state;
	vault_close(vault);
	close(dir_fd);
	return temporary_remove(dir);
}

/* The file vault. */

static enum vault_verdict get(struct vault_report *rep)
{
	struct vault_key key;

	return vault->ops->get(vault, kid, TIMEOUT, &key, rep);
}

static void file_vault_wraps_and_unwraps(void **state)
{
	struct secret *plain = secret_new(32), *back = NULL;
	struct vault_report rep;
	struct vault_wrapped w;
	struct vault_key key;

	(void)state;
	memset(secret_bytes(plain), 0x42, 32);
	assert_int_equal(vault->ops->get(vault, kid, TIMEOUT, &key, &rep), VAULT_GRANTED);
	assert_int_equal(key.bits, 2048);
	assert_string_equal(key.kid, kid);
	assert_int_equal(vault->ops->wrap(vault, kid, plain, TIMEOUT, &w, &rep), VAULT_GRANTED);
	assert_string_equal(w.kid, kid);
	assert_int_equal(vault->ops->unwrap(vault, &w, TIMEOUT, &back, &rep), VAULT_GRANTED);
	assert_memory_equal(secret_view(back), secret_view(plain), 32);
	secret_free(back);
	back = NULL;
	w.bytes[0] ^= 1;
	assert_int_equal(vault->ops->unwrap(vault, &w, TIMEOUT, &back, &rep), VAULT_BROKEN);
	assert_null(back);
	secret_free(plain);
}

static void file_vault_refuses_unsafe_and_unusable_files(void **state)
{
	struct vault_report rep;

	(void)state;
	assert_int_equal(chmod(pem, 0640), 0);
	assert_int_equal(get(&rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "group or others"));
	assert_non_null(strstr(rep.error.next, "chmod 0600"));
	assert_int_equal(rep.error.exit_code, EXIT_CODE_CONFIG);
	assert_int_equal(chmod(pem, 0600), 0);
	assert_int_equal(chown(pem, 12345, 0), 0);
	assert_int_equal(get(&rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "another user"));
	assert_int_equal(chown(pem, 0, 0), 0);
	assert_int_equal(get(&rep), VAULT_GRANTED);
	assert_int_equal(truncate(pem, 0), 0);
	assert_int_equal(get(&rep), VAULT_BROKEN);
	copy_key("ec_key.pem", 0600);
	assert_int_equal(get(&rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "not an RSA key"));
	copy_key("locked_key.pem", 0600);
	assert_int_equal(get(&rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "passphrase"));
	assert_int_equal(unlink(pem), 0);
	assert_int_equal(get(&rep), VAULT_DENIED); /* whoever takes the file takes the key */
	assert_int_equal(mkfifo(pem, 0600), 0);
	assert_int_equal(get(&rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "not a regular file"));
	assert_int_equal(unlink(pem), 0);
	assert_int_equal(mkdir(pem, 0700), 0);
	assert_int_equal(get(&rep), VAULT_BROKEN);
	assert_int_equal(rmdir(pem), 0);
}

static void vaults_are_chosen_by_the_kid(void **state)
{
	struct vault *v = NULL;
	struct errmsg err = { 0 };

	(void)state;
	assert_int_equal(vault_open("ftp://x/keys/k", &no_settings, &clock_kernel, &v, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "no vault serves this key"));
	assert_int_equal(vault_open("https://a.example/keys/k", &no_settings, &clock_kernel, &v,
				    &err),
			 -EKEYREJECTED);
	assert_non_null(strstr(err.text, "a.example is not among allowed_vaults"));
	assert_int_equal(err.exit_code, EXIT_CODE_POLICY);
	assert_string_equal(err.policy, POLICY_ALLOWED_VAULTS);
	assert_string_equal(vault_verdict_name(VAULT_DENIED), "denied");
	vault_close(NULL);
}

/* Headers on disk. */

static struct volume_header new_header(struct secret **ret_dek)
{
	static struct volume_header h;
	struct errmsg err = { 0 };
	struct vault_key key;
	struct vault_report rep;
	int r;

	assert_int_equal(vault->ops->get(vault, kid, TIMEOUT, &key, &rep), VAULT_GRANTED);
	r = keyring_create(vault, &key, 1700000000, &h, ret_dek, &err);

	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	return h;
}

static void corrupt(const char *name, off_t at)
{
	int fd = openat(dir_fd, name, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void either_copy_serves_and_the_newer_wins(void **state)
{
	struct secret *dek = NULL;
	struct volume_header h = new_header(&dek);
	struct header_found found;
	struct errmsg err = { 0 };
	uint8_t bytes[VOLUME_HEADER_LEN];

	(void)state;
	assert_int_equal(header_exists(&sysio_kernel, dir_fd), 0);
	assert_int_equal(header_write(&sysio_kernel, dir_fd, &h), 0);
	assert_int_equal(header_exists(&sysio_kernel, dir_fd), 1);
	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), 0);
	assert_false(header_needs_repair(&found));
	corrupt("header", 5000);
	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), 0);
	assert_int_equal(found.state[0], HEADER_COPY_DAMAGED);
	assert_int_equal(found.state[1], HEADER_COPY_GOOD);
	assert_true(header_needs_repair(&found));
	assert_int_equal(header_write(&sysio_kernel, dir_fd, &found.header), 0);
	assert_int_equal(unlinkat(dir_fd, "header.bak", 0), 0);
	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), 0);
	assert_int_equal(found.state[1], HEADER_COPY_MISSING);
	/* A crash between the two copies: one is newer. */
	h.sequence = 9;
	assert_int_equal(header_seal(&h, dek), 0);
	assert_int_equal(header_write(&sysio_kernel, dir_fd, &h), 0);
	h.sequence = 8;
	assert_int_equal(header_seal(&h, dek), 0);
	assert_int_equal(volume_header_encode(&h, sha256, bytes), 0);
	assert_int_equal(
		atomic_file_write(&sysio_kernel, dir_fd, "header", 0600, bytes, sizeof(bytes)), 0);
	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), 0);
	assert_int_equal(found.header.sequence, 9);
	assert_int_equal(found.state[0], HEADER_COPY_STALE);
	secret_free(dek);
}

static void no_good_copy_is_an_error_that_says_so(void **state)
{
	struct secret *dek = NULL;
	struct volume_header h = new_header(&dek);
	struct header_found found;
	struct errmsg err = { 0 };
	uint8_t bytes[VOLUME_HEADER_LEN];

	(void)state;
	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), -ENOENT);
	assert_non_null(strstr(err.text, "not formatted"));
	assert_int_equal(header_write(&sysio_kernel, dir_fd, &h), 0);
	corrupt("header", 5000);
	corrupt("header.bak", 6000);
	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "no good copy"));
	/* A newer version's header is not passed over for an older copy. */
	assert_int_equal(header_write(&sysio_kernel, dir_fd, &h), 0);
	assert_int_equal(volume_header_encode(&h, sha256, bytes), 0);
	bytes[8] = 2;
	memset(bytes + 480, 0, 32);
	assert_int_equal(sha256(bytes, sizeof(bytes), bytes + 480), 0);
	assert_int_equal(
		atomic_file_write(&sysio_kernel, dir_fd, "header", 0600, bytes, sizeof(bytes)), 0);
	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.text, "made by a newer tdefs"));
	secret_free(dek);
}

/* Each backing call fails in turn: one good copy stands, old or new. */
static void header_writes_survive_every_fault(void **state)
{
	struct secret *dek = NULL;
	struct volume_header h = new_header(&dek);
	struct header_found found;
	struct errmsg err = { 0 };

	(void)state;
	for (int for_ever = 0; for_ever < 2; for_ever++) {
		bool hit = true;

		for (unsigned n = 1; hit; n++) {
			int r;

			h.sequence = 1;
			assert_int_equal(header_seal(&h, dek), 0);
			assert_int_equal(header_write(&sysio_kernel, dir_fd, &h), 0);
			h.sequence = 2;
			assert_int_equal(header_seal(&h, dek), 0);
			faults_arm(n, -EIO, for_ever);
			r = header_write(&faults_sysio, dir_fd, &h);
			hit = faults_disarm();
			assert_true(r == 0 || (hit && r == -EIO));
			assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), 0);
			assert_int_equal(header_authenticate(&found.header, dek), 0);
			assert_in_range(found.header.sequence, 1, 2);
			if (r == 0)
				assert_false(header_needs_repair(&found));
		}
	}
	for (unsigned n = 1;; n++) {
		int r;

		faults_arm(n, -EIO, false);
		r = header_read(&faults_sysio, dir_fd, "v", &found, &err);
		if (!faults_disarm())
			break;
		assert_true(r == 0 || r == -EIO); /* 0: it was only a close */
	}
	secret_free(dek);
}

/* From a header to its DEK. */

static int unlock(const struct volume_header *h, const char *with, struct errmsg *err)
{
	struct secret *dek = NULL;
	struct vault_report report;
	int r = keyring_unlock(vault, with, h, "v", 10000, &dek, &report);

	*err = report.error;
	assert_true((r == 0) == (report.verdict == VAULT_GRANTED));
	assert_true((r == 0) == (dek != NULL));
	secret_free(dek);
	return r;
}

static void a_new_header_opens_with_its_protector(void **state)
{
	struct secret *dek = NULL, *back = NULL;
	struct volume_header h = new_header(&dek);
	struct vault_report report;

	(void)state;
	assert_int_equal(keyring_unlock(vault, kid, &h, "v", 10000, &back, &report), 0);
	assert_memory_equal(secret_view(back), secret_view(dek), DEK_LEN);
	assert_int_equal(h.uuid[6] >> 4, 4); /* RFC 9562, version 4 */
	assert_int_equal(h.uuid[8] >> 6, 2);
	secret_free(dek);
	secret_free(back);
}

/* The canary is wrapped by itself and proves access without the DEK. */
static void the_canary_unwraps_to_its_hash(void **state)
{
	struct secret *dek = NULL, *canary = NULL;
	struct volume_header h = new_header(&dek);
	const struct key_slot *s = volume_header_active_slot(&h);
	struct vault_wrapped w = { .algorithm = WRAP_RSA_OAEP_256, .len = s->wrapped_canary_len };
	struct vault_report rep;
	uint8_t hash[32];

	(void)state;
	memcpy(w.bytes, s->wrapped_canary, w.len);
	strcpy(w.kid, s->kid);
	assert_int_equal(vault->ops->unwrap(vault, &w, TIMEOUT, &canary, &rep), VAULT_GRANTED);
	assert_int_equal(sha256(secret_view(canary), secret_len(canary), hash), 0);
	assert_memory_equal(hash, s->canary_hash, 32);
	assert_memory_not_equal(secret_view(canary), secret_view(dek), 32);
	secret_free(canary);
	secret_free(dek);
}

static enum vault_verdict probe(const struct key_slot *slot, struct vault_report *rep)
{
	enum vault_verdict v = keyring_probe(vault, slot, "v", &clock_kernel, 10000, rep);

	assert_int_equal(v, rep->verdict);
	return v;
}

/* Only the vault's own answer about the slot's own key counts, and a wrong one is no denial. */
static void a_probe_tells_denied_from_broken(void **state)
{
	struct secret *dek = NULL;
	struct volume_header h = new_header(&dek);
	struct key_slot changed = *volume_header_active_slot(&h);
	struct vault_report rep;

	(void)state;
	assert_int_equal(probe(volume_header_active_slot(&h), &rep), VAULT_GRANTED);
	changed.canary_hash[5] ^= 1;
	assert_int_equal(probe(&changed, &rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "canary"));
	changed = *volume_header_active_slot(&h);
	changed.wrapped_canary[5] ^= 1;
	assert_int_equal(probe(&changed, &rep), VAULT_BROKEN);
	changed = *volume_header_active_slot(&h);
	changed.thumbprint[5] ^= 1;
	assert_int_equal(probe(&changed, &rep), VAULT_BROKEN);
	assert_non_null(strstr(rep.error.text, "wrong protector"));
	unlink(pem);
	assert_int_equal(probe(volume_header_active_slot(&h), &rep), VAULT_DENIED);
	secret_free(dek);
}

static void other_keys_and_tampering_are_refused(void **state)
{
	struct secret *dek = NULL;
	struct volume_header h = new_header(&dek), changed;
	struct errmsg err = { 0 };
	char command[1024];

	(void)state;
	assert_int_equal(unlock(&h, "file:/other.pem", &err), -EKEYREJECTED);
	assert_non_null(strstr(err.text, "but the protector is file:/other.pem"));
	changed = h;
	changed.sequence++; /* what somebody with the disk but not the key can do */
	assert_int_equal(unlock(&changed, kid, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "tampered"));
	changed = h;
	changed.slots[0].wrapped_dek[3] ^= 1;
	assert_int_equal(unlock(&changed, kid, &err), -EKEYREJECTED);
	changed = h;
	changed.slots[0].wrap_algorithm = 3;
	assert_int_equal(unlock(&changed, kid, &err), -EPROTONOSUPPORT);
	changed = h; /* a DEK that unwraps, but is the canary */
	memcpy(changed.slots[0].wrapped_dek, h.slots[0].wrapped_canary, 256);
	assert_int_equal(unlock(&changed, kid, &err), -EBADMSG);
	(void)snprintf(command, sizeof(command),
		       "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out %s "
		       "2>/dev/null",
		       pem);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
	assert_int_equal(unlock(&h, kid, &err), -EKEYREJECTED);
	assert_non_null(strstr(err.text, "wrong protector"));
	unlink(pem);
	assert_int_equal(unlock(&h, kid, &err), -EKEYREVOKED);
	secret_free(dek);
}

static void keys_of_unusual_size_are_refused(void **state)
{
	static const int bits[] = { 1024, 5120 };
	const struct policy policy = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		struct protector_report report;
		struct errmsg err = { 0 };
		char command[1024];

		(void)snprintf(command, sizeof(command),
			       "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:%d -out %s "
			       "2>/dev/null",
			       bits[i], pem);
		assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
		protector_check(vault, kid, &policy, 0, &report);
		assert_int_equal(protector_verdict(&report, kid, &err), -EKEYREJECTED);
		assert_non_null(strstr(err.text, "is not allowed"));
		assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
	}
}

/* Pins. */

static void pins_tell_what_was_seen(void **state)
{
	struct secret *dek = NULL;
	struct volume_header h = new_header(&dek);
	struct pin pin = pin_of_header(&h), back;
	struct errmsg err = { 0 };
	char sub[TEMPORARY_PATH_MAX + 16];

	(void)state;
	(void)snprintf(sub, sizeof(sub), "%s/state", dir);
	assert_int_equal(pin_read(&sysio_kernel, sub, "v", &back), -ENOENT);
	assert_int_equal(pin_write(&sysio_kernel, sub, "v", &pin), 0);
	assert_int_equal(pin_read(&sysio_kernel, sub, "v", &back), 0);
	assert_memory_equal(&pin, &back, sizeof(pin));
	assert_int_equal(pin_check(&pin, &h, "v", &err), 0);
	h.sequence++;
	assert_int_equal(pin_check(&pin, &h, "v", &err), 0); /* newer is what a rotation makes */
	pin.sequence = h.sequence + 1;
	assert_int_equal(pin_check(&pin, &h, "v", &err), -EKEYREJECTED);
	assert_non_null(strstr(err.text, "older"));
	pin = pin_of_header(&h);
	pin.uuid[0] ^= 1;
	assert_int_equal(pin_check(&pin, &h, "v", &err), -EKEYREJECTED);
	assert_non_null(strstr(err.text, "another volume"));
	pin = pin_of_header(&h);
	pin.dek_id[0] ^= 1;
	assert_int_equal(pin_check(&pin, &h, "v", &err), -EKEYREJECTED);
	assert_non_null(strstr(err.next, "--accept-header"));
	secret_free(dek);
}

static void damaged_pins_are_errors(void **state)
{
	static const char *const texts[] = {
		"",
		"uuid 00\n",
		"uuid x dek-id y sequence 1\n",
		"uuid 00112233445566778899aabbccddeeff\n"
		"dek-id 00112233445566778899aabbccddeeff\nsequence 1",
		"uuid 00112233445566778899aabbccddeeff\n"
		"dek-id 00112233445566778899aabbccddeeff\nsequence x\n",
		"uuid 00112233445566778899aabbccddeegg\n"
		"dek-id 00112233445566778899aabbccddeeff\nsequence 1\n",
	};
	char big[400];
	struct pin pin;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(atomic_file_write(&sysio_kernel, dir_fd, "v.pin", 0600, texts[i],
						   strlen(texts[i])),
				 0);
		assert_int_equal(pin_read(&sysio_kernel, dir, "v", &pin), -EBADMSG);
	}
	memset(big, 'x', sizeof(big));
	assert_int_equal(atomic_file_write(&sysio_kernel, dir_fd, "v.pin", 0600, big, sizeof(big)),
			 0);
	assert_int_equal(pin_read(&sysio_kernel, dir, "v", &pin), -EBADMSG);
}

static void pin_writes_may_fail(void **state)
{
	struct pin pin = { .sequence = 1 }, back;
	bool hit = true;

	(void)state;
	assert_int_equal(pin_write(&sysio_kernel, dir, "v", &pin), 0);
	pin.sequence = 2;
	for (unsigned n = 1; hit; n++) {
		int r;

		faults_arm(n, -EIO, false);
		r = pin_write(&faults_sysio, dir, "v", &pin);
		hit = faults_disarm();
		assert_true(r == 0 || (hit && r == -EIO));
		assert_int_equal(pin_read(&sysio_kernel, dir, "v", &back), 0);
	}
}

static int group_teardown(void **state)
{
	(void)state;
	return secret_count() != 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(file_vault_wraps_and_unwraps),
		TEST(file_vault_refuses_unsafe_and_unusable_files),
		TEST(vaults_are_chosen_by_the_kid),
		TEST(either_copy_serves_and_the_newer_wins),
		TEST(no_good_copy_is_an_error_that_says_so),
		TEST(header_writes_survive_every_fault),
		TEST(a_new_header_opens_with_its_protector),
		TEST(the_canary_unwraps_to_its_hash),
		TEST(a_probe_tells_denied_from_broken),
		TEST(other_keys_and_tampering_are_refused),
		TEST(keys_of_unusual_size_are_refused),
		TEST(pins_tell_what_was_seen),
		TEST(damaged_pins_are_errors),
		TEST(pin_writes_may_fail),
	};

	return cmocka_run_group_tests_name("keyring", tests, NULL, group_teardown);
}
