/* SPDX-License-Identifier: Apache-2.0 */
/* Another key for a header: what stands on disk whatever fails, what is refused, what is kept. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/temporary.h"
#include "tdefs/protector.h"
#include "tdefs/rotate.h"

#define HTTPS_KID  "https://vault.test/keys/tde/0123456789abcdef0123456789abcdef"
#define HTTPS_NEXT "https://vault.test/keys/tde/1123456789abcdef0123456789abcdef"
#define TIMEOUT	   VAULT_COMMAND_TIMEOUT_MS

static char dir[TEMPORARY_PATH_MAX], state_dir[TEMPORARY_PATH_MAX + 8];
static char kids[2][TEMPORARY_PATH_MAX + 32];
static int dir_fd;
static struct vault *files[2];
static const struct settings no_settings;
static const struct policy policy = { .require_purge_protection = true };

static struct secret *dek;
static struct volume_header first; /* as it was written, under kids[0] */

/* A key vault: the file vault of kids[1] behind a kid of its own, and a mood. */
static struct remote {
	struct vault vault;
	const char *kid, *newest; /* newest NULL: the same */
	enum vault_verdict mood;
	bool expired, no_purge_protection, lies;
} remote;

static enum vault_verdict mood(struct vault_report *rep)
{
	*rep = (struct vault_report){ .verdict = remote.mood };
	if (remote.mood != VAULT_GRANTED)
		(void)errmsg_fail(&rep->error, -EIO, EXIT_CODE_FAILED, "the vault is in a mood");
	return remote.mood;
}

static enum vault_verdict remote_get(struct vault *v, const char *kid, unsigned timeout_ms,
				     struct vault_key *ret_key, struct vault_report *rep)
{
	struct kid asked;

	(void)v;
	if (mood(rep) != VAULT_GRANTED ||
	    files[1]->ops->get(files[1], kids[1], timeout_ms, ret_key, rep) != VAULT_GRANTED)
		return rep->verdict;
	assert_int_equal(kid_parse(kid, &asked), 0);
	(void)snprintf(ret_key->kid, sizeof(ret_key->kid), "%s",
		       remote.newest && !asked.version[0] ? remote.newest : remote.kid);
	ret_key->remote = ret_key->enabled = ret_key->may_wrap = ret_key->may_unwrap = true;
	ret_key->soft_delete = true;
	ret_key->purge_protection = !remote.no_purge_protection;
	ret_key->expires = remote.expired ? 1 : 0;
	return VAULT_GRANTED;
}

static enum vault_verdict remote_wrap(struct vault *v, const char *kid, const struct secret *plain,
				      unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				      struct vault_report *rep)
{
	(void)v;
	if (mood(rep) == VAULT_GRANTED && files[1]->ops->wrap(files[1], kids[1], plain, timeout_ms,
							      ret_wrapped, rep) == VAULT_GRANTED)
		(void)snprintf(ret_wrapped->kid, sizeof(ret_wrapped->kid), "%s", kid);
	return rep->verdict;
}

static enum vault_verdict remote_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
					unsigned timeout_ms, struct secret **ret_plain,
					struct vault_report *rep)
{
	struct vault_wrapped w = *wrapped;

	(void)v;
	(void)snprintf(w.kid, sizeof(w.kid), "%s", kids[1]);
	if (mood(rep) == VAULT_GRANTED &&
	    files[1]->ops->unwrap(files[1], &w, timeout_ms, ret_plain, rep) == VAULT_GRANTED &&
	    remote.lies)
		secret_bytes(*ret_plain)[0] ^= 1;
	return rep->verdict;
}

static const struct vault_ops remote_ops = { .name = "remote",
					     .kid_prefix = "https:",
					     .get = remote_get,
					     .wrap = remote_wrap,
					     .unwrap = remote_unwrap };

static void make_key(unsigned n)
{
	char command[1024];
	struct errmsg err;

	(void)snprintf(kids[n], sizeof(kids[n]), "file:%s/key%u.pem", dir, n);
	(void)snprintf(command, sizeof(command),
		       n == 0 ? "cp " TDEFS_VECTORS "/oaep_key.pem %s && chmod 600 %s"
			      : "openssl genrsa -out %s 2048 2>/dev/null && chmod 600 %s",
		       kids[n] + strlen("file:"), kids[n] + strlen("file:"));
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
	assert_int_equal(vault_open(kids[n], &no_settings, &clock_kernel, &files[n], &err), 0);
}

static int setup(void **state)
{
	struct errmsg err = { 0 };
	struct vault_report rep;
	struct vault_key key;

	(void)state;
	if (temporary_directory(dir) < 0)
		return -1;
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	make_key(0);
	make_key(1);
	remote = (struct remote){ .vault.ops = &remote_ops, .kid = HTTPS_KID };
	assert_int_equal(files[0]->ops->get(files[0], kids[0], TIMEOUT, &key, &rep), VAULT_GRANTED);
	assert_int_equal(keyring_create(files[0], &key, 1, &first, &dek, &err), 0);
	return header_write(&sysio_kernel, dir_fd, &first);
}

static int teardown(void **state)
{
	(void)state;
	secret_free(dek);
	dek = NULL;
	vault_close(files[0]);
	vault_close(files[1]);
	close(dir_fd);
	return temporary_remove(dir);
}

static struct rotation to_remote(void)
{
	return (struct rotation){ .sys = &sysio_kernel,
				  .header_dirfd = dir_fd,
				  .volume = "v",
				  .state_dir = state_dir,
				  .policy = &policy,
				  .now = 1700000000,
				  .from = files[0],
				  .from_kid = kids[0],
				  .to = &remote.vault,
				  .to_kid = HTTPS_KID };
}

static struct volume_header on_disk(void)
{
	static struct header_found found;
	struct errmsg err = { 0 };

	assert_int_equal(header_read(&sysio_kernel, dir_fd, "v", &found, &err), 0);
	return found.header;
}

/* The header gives the DEK to the key that its active slot names. */
static void assert_opens(const struct volume_header *h)
{
	const char *kid = volume_header_active_slot(h)->kid;
	struct vault *vault = strcmp(kid, kids[0]) == 0 ? files[0] : &remote.vault;
	struct vault_report rep = { 0 };
	struct secret *got = NULL;

	if (strcmp(kid, kids[1]) == 0)
		vault = files[1];
	assert_int_equal(keyring_unlock(vault, kid, h, "v", TIMEOUT, &got, &rep), 0);
	assert_memory_equal(secret_view(got), secret_view(dek), DEK_LEN);
	secret_free(got);
	assert_int_equal(keyring_probe(vault, volume_header_active_slot(h), "v", &clock_kernel,
				       TIMEOUT, &rep),
			 VAULT_GRANTED);
}

static size_t previous_slots(const struct volume_header *h)
{
	size_t n = 0;

	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		n += h->slots[i].state == SLOT_PREVIOUS;
	return n;
}

/* The previous slot of the key `kid`; NULL: there is none. */
static const struct key_slot *previous_slot(const struct volume_header *h, const char *kid)
{
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		if (h->slots[i].state == SLOT_PREVIOUS && protector_covers(kid, h->slots[i].kid))
			return &h->slots[i];
	return NULL;
}

static void another_kind_of_key_and_back(void **state)
{
	static struct rotation_result result, back;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };
	struct volume_header h;
	struct pin pin;

	(void)state;
	assert_int_equal(rotate_header(&r, &first, &result, &err), 0);
	assert_true(result.rotated);
	h = on_disk();
	assert_opens(&h);
	assert_string_equal(volume_header_active_slot(&h)->kid, HTTPS_KID);
	assert_int_equal(h.sequence, first.sequence + 1);
	assert_int_equal(previous_slots(&h), 1);
	assert_non_null(previous_slot(&h, kids[0]));
	assert_int_equal(pin_read(&sysio_kernel, state_dir, "v", &pin), 0);
	assert_int_equal(pin.sequence, h.sequence);
	/* A copy from before is older than what was seen. */
	assert_int_equal(pin_check(&pin, &first, "v", &err), -EKEYREJECTED);
	assert_memory_not_equal(volume_header_active_slot(&h)->canary_hash,
				volume_header_active_slot(&first)->canary_hash, 32);

	r.from = &remote.vault;
	r.from_kid = HTTPS_KID;
	r.to = files[1];
	r.to_kid = kids[1];
	assert_int_equal(rotate_header(&r, &h, &back, &err), 0);
	h = on_disk();
	assert_opens(&h);
	assert_int_equal(previous_slots(&h), 1); /* that of two rotations ago is gone */
	assert_null(previous_slot(&h, kids[0]));
}

static void the_same_key_is_nothing_to_do_and_retire_drops_the_previous(void **state)
{
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };
	struct volume_header h;

	(void)state;
	assert_int_equal(rotate_header(&r, &first, &result, &err), 0);
	h = result.header;
	r.from = &remote.vault;
	r.from_kid = HTTPS_KID;
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	assert_false(result.rotated || result.retired);
	assert_int_equal(on_disk().sequence, h.sequence);
	r.retire = true;
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	assert_true(!result.rotated && result.retired);
	h = on_disk();
	assert_int_equal(previous_slots(&h), 0);
	assert_opens(&h);
	/* Another version, and nothing kept of this one. */
	remote.kid = HTTPS_NEXT;
	r.to_kid = HTTPS_NEXT;
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	assert_true(result.rotated && result.retired);
	h = on_disk();
	assert_int_equal(previous_slots(&h), 0);
	assert_opens(&h);
}

static void only_when_asked_the_previous_slot_gives_the_dek(void **state)
{
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };
	struct volume_header h;

	(void)state;
	assert_int_equal(rotate_header(&r, &first, &result, &err), 0);
	h = result.header;
	/* The active slot's key is another: the old one is refused, though it would do. */
	r.to = files[1];
	r.to_kid = kids[1];
	assert_int_equal(rotate_header(&r, &h, &result, &err), -EKEYREJECTED);
	assert_false(result.rotated);
	r.from_slot = previous_slot(&h, kids[0]);
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	h = on_disk();
	assert_string_equal(volume_header_active_slot(&h)->kid, kids[1]);
	assert_opens(&h);
	assert_int_equal(previous_slots(&h), 2); /* the key that was lost may be found again */
}

static void what_failed_half_way_is_made_good_by_the_same_again(void **state)
{
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };
	struct volume_header h;
	struct pin pin;

	(void)state;
	r.state_dir = kids[0] + strlen("file:"); /* no directory */
	assert_int_equal(rotate_header(&r, &first, &result, &err), -ENOTDIR);
	assert_true(result.rotated);
	h = result.header;
	assert_int_equal(unlinkat(dir_fd, "header.bak", 0), 0);
	r.from = &remote.vault;
	r.from_kid = HTTPS_KID;
	assert_int_equal(rotate_header(&r, &h, &result, &err), -ENOTDIR);
	r.state_dir = state_dir;
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	assert_false(result.rotated || result.retired);
	assert_int_equal(pin_read(&sysio_kernel, state_dir, "v", &pin), 0);
	assert_int_equal(pin.sequence, h.sequence);
	assert_int_equal(faccessat(dir_fd, "header.bak", F_OK, 0), 0);
}

static unsigned unwraps;

static enum vault_verdict files_get(struct vault *v, const char *kid, unsigned timeout_ms,
				    struct vault_key *ret_key, struct vault_report *rep)
{
	(void)v;
	return files[0]->ops->get(files[0], kid, timeout_ms, ret_key, rep);
}

static enum vault_verdict count_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				       unsigned timeout_ms, struct secret **ret_plain,
				       struct vault_report *rep)
{
	(void)v;
	unwraps++;
	return files[0]->ops->unwrap(files[0], wrapped, timeout_ms, ret_plain, rep);
}

static void no_dek_is_unwrapped_for_a_vault_that_does_not_answer(void **state)
{
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct vault_ops ops = *files[0]->ops;
	struct vault from = *files[0];
	struct errmsg err = { 0 };

	(void)state;
	ops.unwrap = count_unwrap;
	ops.get = files_get;
	from.ops = &ops;
	r.from = &from;
	remote.mood = VAULT_UNREACHABLE;
	assert_int_equal(rotate_header(&r, &first, &result, &err), -ENOKEY);
	assert_int_equal(unwraps, 0);
	remote.mood = VAULT_GRANTED;
	assert_int_equal(rotate_header(&r, &first, &result, &err), 0);
	assert_int_equal(unwraps, 1);
}

static void an_older_version_pins_until_somebody_unpins(void **state)
{
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };
	struct volume_header h;

	(void)state;
	remote.newest = HTTPS_NEXT;
	r.choice = ROTATION_CHOSEN;
	first.compatible = 4; /* somebody else's */
	assert_int_equal(header_seal(&first, dek), 0);
	assert_int_equal(rotate_header(&r, &first, &result, &err), 0);
	assert_true(result.rotated && result.pin_changed);
	h = on_disk();
	assert_int_equal(h.compatible, 4 | VOLUME_PINNED);
	assert_opens(&h); /* its HMAC covers the pin */
	r.from = &remote.vault;
	r.from_kid = HTTPS_KID;
	/* Nobody chose: it stays, whichever version that is. */
	r.choice = ROTATION_NEWEST;
	assert_int_equal(rotate_header(&r, &h, &result, &err), -EKEYREJECTED);
	assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
	assert_non_null(strstr(err.next, "--unpin"));
	assert_int_equal(on_disk().sequence, h.sequence);
	/* The key may stay and the pin go, and come. */
	r.choice = ROTATION_UNPIN;
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	assert_true(!result.rotated && result.pin_changed);
	h = on_disk();
	assert_int_equal(h.compatible, 4);
	assert_int_equal(h.sequence, result.header.sequence);
	assert_opens(&h);
	r.choice = ROTATION_CHOSEN;
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	assert_true(!result.rotated && result.pin_changed);
	h = on_disk();
	assert_true(volume_header_is_pinned(&h));
	/* Whoever chooses the newest is not pinned any more. */
	remote.kid = HTTPS_NEXT;
	r.to_kid = HTTPS_NEXT;
	assert_int_equal(rotate_header(&r, &h, &result, &err), 0);
	assert_true(result.rotated && result.pin_changed);
	h = on_disk();
	assert_false(volume_header_is_pinned(&h));
	/* Whether it is the newest must be known. */
	r.choice = ROTATION_CHOSEN;
	remote.mood = VAULT_UNREACHABLE;
	assert_int_equal(rotate_header(&r, &h, &result, &err), -ENOKEY);
	assert_int_equal(on_disk().sequence, h.sequence);
}

static uint64_t watch_ms;	      /* what the rotation takes for the time */
static unsigned questions, asks_left; /* whether it may go on; it may so many times */

static uint64_t watch(void)
{
	return watch_ms;
}

static int ask(void *arg, struct errmsg *reterr)
{
	(void)arg;
	questions++;
	return asks_left-- > 0 ? 0
			       : errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN, "it was denied");
}

static unsigned timeouts[8],
	asked_of_it; /* of the calls to the new key's vault that wrap or unwrap */

static enum vault_verdict slow_wrap(struct vault *v, const char *kid, const struct secret *plain,
				    unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				    struct vault_report *rep)
{
	timeouts[asked_of_it++ % ARRAY_SIZE(timeouts)] = timeout_ms;
	watch_ms += 3000;
	return remote_wrap(v, kid, plain, timeout_ms, ret_wrapped, rep);
}

static enum vault_verdict slow_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				      unsigned timeout_ms, struct secret **ret_plain,
				      struct vault_report *rep)
{
	timeouts[asked_of_it++ % ARRAY_SIZE(timeouts)] = timeout_ms;
	watch_ms += 3000;
	return remote_unwrap(v, wrapped, timeout_ms, ret_plain, rep);
}

/* The probe of the key, and the canary, come before it is unwrapped; then there are two calls. */
static void the_dek_is_in_memory_for_a_limited_time(void **state)
{
	static const unsigned without = VAULT_COMMAND_TIMEOUT_MS;
	const unsigned expect[] = { without, without, without, without, 10000, 7000 };
	const struct clock clock = { .boot_ms = watch };
	struct vault_ops slow = remote_ops;
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };

	(void)state;
	slow.wrap = slow_wrap;
	slow.unwrap = slow_unwrap;
	remote.vault.ops = &slow;
	r.clock = &clock;
	r.dek_timeout_ms = 10000;
	r.may_write = ask;
	asks_left = 100;
	asked_of_it = questions = 0;
	assert_int_equal(rotate_header(&r, &first, &result, &err), 0);
	assert_int_equal(asked_of_it, ARRAY_SIZE(expect));
	assert_memory_equal(timeouts, expect, sizeof(expect));
	assert_int_equal(questions, 3); /* two calls, one write */
	/* Denied meanwhile: nothing more is asked with it. */
	for (unsigned allowed = 0; allowed < 3; allowed++) {
		assert_int_equal(header_write(&sysio_kernel, dir_fd, &first), 0);
		asks_left = allowed;
		asked_of_it = 0;
		assert_int_equal(rotate_header(&r, &first, &result, &err), -EAGAIN);
		assert_int_equal(asked_of_it, 4 + (allowed < 2 ? allowed : 2));
		assert_int_equal(on_disk().sequence, first.sequence);
	}
}

static unsigned renames;

static int rename_without_secret(int olddirfd, const char *oldpath, int newdirfd,
				 const char *newpath, unsigned flags)
{
	renames++;
	assert_int_equal(secret_count(), 1); /* the test's own */
	return sysio_kernel.renameat2(olddirfd, oldpath, newdirfd, newpath, flags);
}

/* A disk that hangs would keep it for as long, whatever the vault says meanwhile. */
static void the_dek_is_gone_before_anything_is_written(void **state)
{
	struct sysio sys = sysio_kernel;
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };

	(void)state;
	sys.renameat2 = rename_without_secret;
	r.sys = &sys;
	r.retire = true;
	renames = 0;
	assert_int_equal(rotate_header(&r, &first, &result, &err), 0);
	assert_true(result.rotated && result.retired);
	assert_true(renames >= 6); /* two copies and the pin, twice */
}

static void linked_opens_neither_the_protectors_nor_the_secondarys(void **state)
{
	char linked[] = HTTPS_KID ", " HTTPS_NEXT, secondary[] = HTTPS_KID;
	struct settings s = { .protector = kids[0], .linked = linked };

	(void)state;
	assert_string_equal(protector_that_opens(&s, kids[0]), kids[0]);
	assert_string_equal(protector_that_opens(&s, HTTPS_KID), HTTPS_KID);
	s.secondary = secondary;
	assert_string_equal(protector_that_opens(&s, HTTPS_KID), kids[0]);
	assert_string_equal(protector_that_opens(&s, HTTPS_NEXT), HTTPS_NEXT);
}

static int refuse(void *arg, struct errmsg *reterr)
{
	(void)arg;
	return errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN, "not now");
}

static void assert_refused(const struct rotation *r, const struct volume_header *h, int expect,
			   int code)
{
	static struct rotation_result result;
	struct errmsg err = { 0 };
	struct volume_header now;

	assert_int_equal(rotate_header(r, h, &result, &err), expect);
	assert_int_equal(err.exit_code, code);
	assert_true(err.text[0] && !result.rotated && !result.retired);
	now = on_disk();
	assert_memory_equal(now.macs, first.macs, sizeof(first.macs));
}

static void what_is_refused_changes_nothing(void **state)
{
	struct rotation r = to_remote();
	struct volume_header h = first;

	(void)state;
	remote.mood = VAULT_UNREACHABLE;
	assert_refused(&r, &first, -ENOKEY, EXIT_CODE_TRY_AGAIN);
	remote.mood = VAULT_DENIED;
	assert_refused(&r, &first, -EKEYREVOKED, EXIT_CODE_FAILED);
	remote.mood = VAULT_GRANTED;
	remote.expired = true;
	assert_refused(&r, &first, -EKEYREJECTED, EXIT_CODE_CONFIG);
	remote.expired = false;
	remote.no_purge_protection = true;
	assert_refused(&r, &first, -EKEYREJECTED, EXIT_CODE_POLICY);
	remote.no_purge_protection = false;
	remote.lies = true;
	assert_refused(&r, &first, -EKEYREJECTED, EXIT_CODE_CONFIG);
	remote.lies = false;
	r.may_write = refuse;
	assert_refused(&r, &first, -EAGAIN, EXIT_CODE_TRY_AGAIN);
	r.may_write = NULL;
	/* What gives the DEK: another key than the configured one, no key, a header that was changed. */
	r.from_kid = HTTPS_KID;
	assert_refused(&r, &first, -EKEYREJECTED, EXIT_CODE_FAILED);
	r.from_kid = kids[0];
	h.created++;
	assert_refused(&r, &h, -EBADMSG, EXIT_CODE_FAILED);
	h = first;
	memset(h.macs[1].dek_id, 1, sizeof(h.macs[1].dek_id));
	assert_refused(&r, &h, -EPROTONOSUPPORT, EXIT_CODE_FAILED);
	assert_int_equal(unlink(kids[0] + strlen("file:")), 0);
	assert_refused(&r, &first, -EKEYREVOKED, EXIT_CODE_CONFIG);
}

static unsigned errors_old, errors_new; /* failures that left this header */

/* Whatever fails, once or from then on: the disk has the old header or the new one, and we know which. */
static bool fails_at(unsigned n, bool for_ever)
{
	static struct rotation_result result;
	struct rotation r = to_remote();
	struct errmsg err = { 0 };
	struct volume_header h;
	bool hit;
	int e;

	r.sys = &faults_sysio;
	r.retire = true;
	assert_int_equal(header_write(&sysio_kernel, dir_fd, &first), 0);
	faults_arm(n, -EIO, for_ever);
	e = rotate_header(&r, &first, &result, &err);
	hit = faults_disarm();
	h = on_disk();
	assert_opens(&h);
	if (e == 0)
		assert_true(result.rotated && result.retired);
	else
		assert_true(err.text[0] && err.next[0]);
	errors_old += e < 0 && h.sequence == first.sequence;
	errors_new += e < 0 && h.sequence > first.sequence;
	if (!for_ever) /* a disk that cannot be read any more tells nobody what it has */
		assert_memory_equal(h.macs, result.header.macs, sizeof(h.macs));
	return hit;
}

static void every_failing_call_leaves_a_header_that_opens(void **state)
{
	unsigned calls[2] = { 1, 1 };

	(void)state;
	for (int for_ever = 0; for_ever < 2; for_ever++)
		while (fails_at(calls[for_ever], for_ever))
			calls[for_ever]++;
	assert_true(calls[0] > 20 && calls[1] > 20);
	assert_true(errors_old > 0 && errors_new > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_kind_of_key_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_same_key_is_nothing_to_do_and_retire_drops_the_previous, setup,
			teardown),
		cmocka_unit_test_setup_teardown(only_when_asked_the_previous_slot_gives_the_dek,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_failed_half_way_is_made_good_by_the_same_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			no_dek_is_unwrapped_for_a_vault_that_does_not_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(
			linked_opens_neither_the_protectors_nor_the_secondarys, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_version_pins_until_somebody_unpins, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_dek_is_in_memory_for_a_limited_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_dek_is_gone_before_anything_is_written, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_refused_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(every_failing_call_leaves_a_header_that_opens,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
