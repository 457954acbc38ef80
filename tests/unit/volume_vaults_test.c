/* SPDX-License-Identifier: Apache-2.0 */
/* What a volume's own threads ask of its vaults beside the guard: newer versions, and proofs. */
#include "../support/test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/volume/volume_newest.h"
#include "../support/temporary.h"
#include "tdefs/log.h"
#include "tdefs/threads.h"
#include "tdefs/volume_event.h"
#include "tdefs/volume_rotate.h"

#define PRIMARY	  "https://p.test/keys/k"
#define SECONDARY "https://s.test/keys/k"
#define OFTEN_MS  20u

/*
 * Two vaults in one: version n of the key is its kid's n-th digit 32 times, and has
 * the thumbprint n. All wrap alike, so that the secondary has version 1, too. The
 * volume's vaults are these: what volume_vault.c defines is defined here.
 */
struct watched_vault {
	struct vault vault;
	bool silent;
};

static struct {
	_Atomic enum vault_verdict primary, latest, second; /* what each says */
	_Atomic unsigned newest;			    /* version of the primary */
	_Atomic bool disabled;				    /* that one */
	_Atomic bool hangs;				    /* who asks for it */
	_Atomic unsigned passes;			    /* but for so many looks */
	_Atomic unsigned looks, probes; /* at the newest version, by unwrapping */
	_Atomic unsigned hung;		/* threads that ask it now */
	_Atomic unsigned heard;		/* vaults whose use is told of */
} fake;

static struct vault_report say(enum vault_verdict v)
{
	struct vault_report rep = { .verdict = v };

	if (v != VAULT_GRANTED)
		(void)errmsg_fail(&rep.error, 0, EXIT_CODE_FAILED, "as the test says");
	return rep;
}

static bool is_second(const char *kid)
{
	return strncmp(kid, SECONDARY, strlen(SECONDARY)) == 0;
}

static enum vault_verdict fake_get(struct vault *v, const char *kid, unsigned timeout_ms,
				   struct vault_key *ret_key, struct vault_report *rep)
{
	const bool latest = strcmp(kid, PRIMARY) == 0;
	unsigned n = latest	      ? fake.newest
		     : is_second(kid) ? 1
				      : (unsigned)(kid[strlen(PRIMARY) + 1] - '0');
	char version[KID_VERSION_LEN + 1] = "";

	const unsigned look = latest ? atomic_fetch_add(&fake.looks, 1) + 1 : 0;

	(void)v, (void)timeout_ms;
	fake.hung++;
	while (fake.hangs && look > fake.passes)
		clock_kernel.sleep_ms(1);
	fake.hung--;
	*rep = say(is_second(kid) ? fake.second : latest ? fake.latest : fake.primary);
	if (rep->verdict != VAULT_GRANTED)
		return rep->verdict;
	*ret_key = (struct vault_key){ .bits = 2048,
				       .thumbprint = { (uint8_t)n },
				       .enabled = !latest || !fake.disabled,
				       .created = n };
	memset(version, '0' + (int)n, KID_VERSION_LEN);
	(void)snprintf(ret_key->kid, sizeof(ret_key->kid), "%s/%s",
		       is_second(kid) ? SECONDARY : PRIMARY, version);
	return VAULT_GRANTED;
}

static enum vault_verdict fake_wrap(struct vault *v, const char *kid, const struct secret *plain,
				    unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				    struct vault_report *rep)
{
	struct vault_wrapped w = { .algorithm = WRAP_RSA_OAEP_256, .len = secret_len(plain) };

	(void)v, (void)timeout_ms;
	memcpy(w.bytes, secret_view(plain), w.len);
	(void)snprintf(w.kid, sizeof(w.kid), "%s", kid);
	*ret_wrapped = w;
	*rep = say(VAULT_GRANTED);
	return rep->verdict;
}

static enum vault_verdict fake_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
				      unsigned timeout_ms, struct secret **ret_plain,
				      struct vault_report *rep)
{
	(void)v, (void)timeout_ms;
	fake.probes++;
	*rep = say(is_second(wrapped->kid) ? fake.second : fake.primary);
	if (rep->verdict != VAULT_GRANTED)
		return rep->verdict;
	*ret_plain = secret_new(wrapped->len);
	assert_non_null(*ret_plain);
	memcpy(secret_bytes(*ret_plain), wrapped->bytes, wrapped->len);
	return VAULT_GRANTED;
}

static const struct vault_ops fake_ops = {
	.name = "fake",
	.get = fake_get,
	.wrap = fake_wrap,
	.unwrap = fake_unwrap,
};

int watched_vault_open(const struct vault_watch *watch, const char *kid,
		       const struct settings *settings, const struct clock *clock,
		       struct watched_vault **ret_vault, struct errmsg *reterr)
{
	struct watched_vault *w = calloc(1, sizeof(*w));

	(void)watch, (void)kid, (void)settings, (void)clock, (void)reterr;
	assert_non_null(w);
	w->vault.ops = &fake_ops;
	fake.heard++;
	*ret_vault = w;
	return 0;
}

void watched_vault_close(struct watched_vault *w)
{
	watched_vault_end(w);
	free(w);
}

void watched_vault_end(struct watched_vault *w)
{
	if (w && !w->silent)
		fake.heard--;
	if (w)
		w->silent = true;
}

struct vault *watched_vault_of(const struct watched_vault *w)
{
	return (struct vault *)(uintptr_t)&w->vault;
}

void watched_vault_probing(struct watched_vault *w)
{
	(void)w;
}

void watched_vault_probed(struct watched_vault *w)
{
	(void)w;
}

/* The volume. */

static char dir[TEMPORARY_PATH_MAX];
static struct config *config;
static struct audit *audit;
static unsigned newer_told, states_told; /* the recorder's thread alone, until it has ended */

static void see(void *arg, enum audit_weight weight, const char *event, const char *line,
		size_t len)
{
	(void)arg, (void)weight, (void)line, (void)len;
	newer_told += strcmp(event, "newer_version") == 0;
	states_told += strcmp(event, "state") == 0;
}

static void open_audit(void)
{
	static const struct audit_sink sink = { .send = see };
	char events[TEMPORARY_PATH_MAX + 8], state[TEMPORARY_PATH_MAX + 8];
	const struct audit_options o = { .event_dir = events,
					 .state_dir = state,
					 .volume = "v",
					 .log_size = 1 << 20,
					 .log_keep = 1,
					 .retry_ms = 10,
					 .close_wait_ms = 240000,
					 .sinks = &sink,
					 .nsinks = 1,
					 .sys = &sysio_kernel };
	struct errmsg err;

	newer_told = states_told = 0;
	(void)snprintf(events, sizeof(events), "%s/events", dir);
	(void)snprintf(state, sizeof(state), "%s/state", dir);
	assert_int_equal(audit_open(&o, &audit, &err), 0);
}

static int setup(void **state)
{
	const struct vault_watch watch = { .volume = "v" };
	struct volume_header header;
	struct errmsg err = { 0 };
	char text[2048], path[TEMPORARY_PATH_MAX + 8];
	FILE *f;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.newest = 1;
	assert_int_equal(temporary_directory(dir), 0);
	assert_int_equal(setenv("D", dir, 1), 0);
	/* NOLINTNEXTLINE(cert-env33-c): a test's own words */
	assert_int_equal(system("mkdir -m 700 $D/back && mkdir $D/mnt"), 0);
	(void)snprintf(text, sizeof(text),
		       "[server]\nprotector = " PRIMARY "\nsecondary = " SECONDARY
		       "\nstate_dir = %s/state\n[volume v]\nbacking = %s/back\nmount = %s/mnt\n",
		       dir, dir, dir);
	(void)snprintf(path, sizeof(path), "%s/t.conf", dir); /* a rotation reads it again */
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_load(path, &config, &err), 0);
	config->volumes[0].settings.guard.probe_interval_ms = OFTEN_MS;
	config->volumes[0].settings.rotation_poll_ms = OFTEN_MS;
	assert_int_equal(log_open("/dev/null"), 0);
	assert_int_equal(volume_format(&sysio_kernel, config, &config->volumes[0], &watch,
				       1700000000, &header, &err),
			 0);
	fake.looks = fake.probes = 0;
	open_audit();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	audit_close(TAKE_PTR(audit));
	config_free(TAKE_PTR(config));
	return temporary_remove(dir);
}

static struct volume *open_volume(void)
{
	const struct volume_options o = { .sys = &sysio_kernel, .audit = audit };
	struct errmsg err = { 0 };
	struct volume *v;

	assert_int_equal(volume_open(config, &config->volumes[0], &o, &v, &err), 0);
	return v;
}

static void start(struct volume *v)
{
	struct errmsg err = { 0 };

	assert_int_equal(volume_start(v, &err), 0);
	assert_int_equal(guard_runner_wait(volume_guard(v), 0), GUARD_ONLINE);
}

static void close_volume(struct volume *v)
{
	assert_int_equal(volume_close(v), 0);
	audit_close(TAKE_PTR(audit));
}

/* ctest's timeout is the bound. */
#define UNTIL(condition)                                                                           \
	while (!(condition))                                                                       \
	clock_kernel.sleep_ms(1)

static struct newest_view newest(const struct volume *v)
{
	struct newest_view view;

	volume_newest_view(v, &view);
	return view;
}

static void look_again(unsigned times)
{
	const unsigned before = fake.looks;

	UNTIL(fake.looks > before + times);
}

static void a_newer_version_is_told_of_once(void **state)
{
	struct volume *v = open_volume();
	struct newest_view view;

	(void)state;
	start(v);
	look_again(2);
	assert_false(newest(v).newer);
	fake.newest = 2;
	UNTIL(newest(v).newer);
	view = newest(v);
	assert_string_equal(view.kid, PRIMARY "/22222222222222222222222222222222");
	assert_int_equal(view.thumbprint[0], 2);
	assert_int_equal(view.created, 2);
	fake.disabled = true;
	UNTIL(!newest(v).newer);
	fake.disabled = false;
	UNTIL(newest(v).newer);
	close_volume(v);
	assert_int_equal(newer_told, 1);
}

static void not_to_know_changes_no_state(void **state)
{
	struct volume *v = open_volume();
	struct guard_view view;

	(void)state;
	fake.newest = 2;
	start(v);
	UNTIL(newest(v).newer);
	fake.latest = VAULT_DENIED;
	UNTIL(newest(v).failures > 0);
	assert_true(newest(v).newer);
	UNTIL(newest(v).unknown);
	assert_true(newest(v).failures >= 3);
	assert_string_equal(newest(v).error.text, "as the test says");
	guard_runner_view(volume_guard(v), &view);
	assert_int_equal(view.guard.state, GUARD_ONLINE);
	assert_int_equal(view.probes[VAULT_DENIED], 0);
	fake.latest = VAULT_GRANTED;
	UNTIL(!newest(v).unknown);
	assert_string_equal(newest(v).error.text, "");
	close_volume(v);
	assert_int_equal(states_told, 1); /* online */
}

static void one_that_hangs_delays_no_probe(void **state)
{
	struct volume *v = open_volume();
	unsigned before;

	(void)state;
	fake.hangs = true;
	start(v);
	UNTIL(fake.looks == 1);
	before = fake.probes;
	UNTIL(fake.probes > before + 3);
	fake.hangs = false;
	close_volume(v);
}

/* What the vault said of a key that was in force before is nothing to act upon. */
static void an_answer_that_a_rotation_overtook_is_dropped(void **state)
{
	struct volume *v = open_volume();

	(void)state;
	fake.hangs = true;
	fake.newest = 2;
	start(v);
	UNTIL(fake.looks == 1);
	newest_look_again(v->newest); /* as a rotation does */
	fake.passes = 1;
	UNTIL(fake.looks == 2);
	assert_false(newest(v).newer);
	fake.hangs = false;
	UNTIL(newest(v).newer);
	close_volume(v);
}

/* The event log is closed behind it: whatever its vault answers then is told to nobody. */
static void a_rotation_that_hangs_is_silenced_by_the_unmount(void **state)
{
	static struct volume *v; /* left behind, for its thread */
	const struct rotation_request request = { 0 };
	struct rotation_view view;
	struct errmsg err = { 0 };
	uint64_t number;
	bool done = false;

	(void)state;
	config->volumes[0].settings.guard.probe_timeout_ms = OFTEN_MS;
	v = open_volume();
	start(v);
	fake.hangs = true;
	assert_int_equal(volume_rotate(v, &request, &number, &err), 0);
	UNTIL(fake.hung == 2); /* the rotation, and the thread that looks */
	assert_int_equal(volume_close(v), 0);
	assert_int_equal(fake.heard, 0);
	audit_close(TAKE_PTR(audit));
	fake.hangs = false;
	do {
		volume_rotation_view(v, &view);
	} while (view.busy);
	assert_true(view.outcome.error < 0 && !view.outcome.rotated);
	while (!done) {
		LOCK_SCOPE(&v->newest->lock);
		done = v->newest->done;
	}
}

static void nobody_looks_until_it_is_wanted(void **state)
{
	struct volume *v = open_volume();

	(void)state;
	newest_set(v->newest, &(struct settings){ 0 });
	start(v);
	UNTIL(fake.probes > 3);
	assert_int_equal(fake.looks, 0);
	newest_set(v->newest, &(struct settings){ .rotation_poll_ms = OFTEN_MS });
	look_again(1);
	close_volume(v);
}

static struct secondary_view secondary(const struct volume *v)
{
	struct secondary_view view;

	assert_true(volume_secondary_view(v, &view));
	return view;
}

static bool serves(struct volume *v)
{
	struct guard_view view;

	guard_runner_view(volume_guard(v), &view);
	return view.guard.secondary_serves;
}

static void the_secondary_is_proved_and_serves(void **state)
{
	struct volume *v = open_volume();

	(void)state;
	start(v);
	UNTIL(secondary(v).proved_at);
	fake.primary = VAULT_UNREACHABLE;
	UNTIL(serves(v));
	fake.second = VAULT_UNREACHABLE;
	UNTIL(secondary(v).ha_broken);
	fake.second = VAULT_GRANTED;
	UNTIL(!secondary(v).ha_broken);
	fake.primary = VAULT_GRANTED;
	UNTIL(!serves(v));
	close_volume(v);
}

/* One that fails is repeated by the probe_interval that was taken over last. */
static void a_proof_is_repeated_by_the_interval_in_force(void **state)
{
	struct volume *v;

	(void)state;
	config->volumes[0].settings.guard.probe_interval_ms = 300000;
	fake.second = VAULT_DENIED;
	v = open_volume();
	atomic_store(&v->probe_interval_ms, OFTEN_MS); /* as volume_reload() does */
	start(v);
	UNTIL(secondary(v).ha_broken);
	fake.second = VAULT_GRANTED;
	UNTIL(secondary(v).proved_at);
	close_volume(v);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_newer_version_is_told_of_once),
		TEST(not_to_know_changes_no_state),
		TEST(one_that_hangs_delays_no_probe),
		TEST(an_answer_that_a_rotation_overtook_is_dropped),
		TEST(a_rotation_that_hangs_is_silenced_by_the_unmount),
		TEST(nobody_looks_until_it_is_wanted),
		TEST(the_secondary_is_proved_and_serves),
		TEST(a_proof_is_repeated_by_the_interval_in_force),
	};

	return cmocka_run_group_tests_name("a volume's vaults", tests, NULL, NULL);
}
