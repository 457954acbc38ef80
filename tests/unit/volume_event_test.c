/* SPDX-License-Identifier: Apache-2.0 */
/* What of a vault's calls and of a volume's life becomes an event, and what does not. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/volume/key_log.h"
#include "../support/temporary.h"
#include "tdefs/log.h"
#include "tdefs/volume_event.h"

#define KID  "https://v.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef"
#define HOUR 3600000u

static char dir[TEMPORARY_PATH_MAX];
static struct audit *audit;

/* What a sink saw; only the recorder's thread writes it, and it is read when that has ended. */
static struct {
	char event[AUDIT_EVENT_MAX + 1];
	enum audit_weight weight;
	json_t *line;
} seen[64];
static size_t nseen;

static void see(void *arg, enum audit_weight weight, const char *event, const char *line,
		size_t len)
{
	(void)arg;
	if (nseen == ARRAY_SIZE(seen) || strcmp(event, "anchor") == 0)
		return;
	(void)snprintf(seen[nseen].event, sizeof(seen[nseen].event), "%s", event);
	seen[nseen].weight = weight;
	seen[nseen++].line = json_loadb(line, len, 0, NULL);
}

static void open_audit(void)
{
	static const struct audit_sink sink = { .send = see };
	static char event_dir[TEMPORARY_PATH_MAX + 8], state_dir[TEMPORARY_PATH_MAX + 8];
	const struct audit_options o = { .event_dir = event_dir,
					 .state_dir = state_dir,
					 .volume = "v",
					 .log_size = 1 << 20,
					 .log_keep = 1,
					 .retry_ms = 10,
					 .close_wait_ms = 240000,
					 .sinks = &sink,
					 .nsinks = 1,
					 .sys = &sysio_kernel };
	struct errmsg err;

	(void)snprintf(event_dir, sizeof(event_dir), "%s/events", dir);
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	assert_int_equal(audit_open(&o, &audit, &err), 0);
}

static void forget(void)
{
	while (nseen > 0)
		json_decref(seen[--nseen].line);
}

/* No more events; those that were are, in their order, `expect`, with spaces between. */
static void assert_events(const char *expect)
{
	char all[1024] = "";
	size_t at = 0;

	audit_close(TAKE_PTR(audit));
	for (size_t i = 0; i < nseen; i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", i ? " " : "",
				       seen[i].event);
	assert_string_equal(all, expect);
}

static const json_t *detail(size_t i, const char *key)
{
	assert_true(i < nseen);
	return json_object_get(seen[i].line, key);
}

static void assert_detail(size_t i, const char *key, const char *text)
{
	const char *is = json_string_value(detail(i, key));

	assert_string_equal(is ? is : "(none)", text);
}

static int setup(void **state)
{
	(void)state;
	return temporary_directory(dir);
}

static int teardown(void **state)
{
	(void)state;
	audit_close(TAKE_PTR(audit));
	forget();
	return temporary_remove(dir);
}

/* The calls of one vault. */

static uint64_t fake_ms;

static uint64_t fake_boot_ms(void)
{
	return fake_ms;
}

static uint64_t fake_now(void)
{
	return 1700000000 + fake_ms / 1000;
}

static const struct clock fake_clock = { .boot_ms = fake_boot_ms, .now = fake_now };

static void tell(struct key_log *log, const char *operation, enum vault_verdict verdict,
		 uint64_t elapsed_ms, bool probe)
{
	struct vault_report report = { .verdict = verdict, .request_id = "r" };
	const struct vault_call call = { operation, KID, elapsed_ms, &report };

	if (verdict != VAULT_GRANTED)
		(void)errmsg_fail(&report.error, -1, EXIT_CODE_FAILED, "no \xff");
	key_log_call(log, &call, probe);
}

static void only_probes_that_are_granted_are_summed_up(void **state)
{
	struct key_log log;

	(void)state;
	fake_ms = 1;
	open_audit();
	key_log_init(&log, audit, "unlock", &fake_clock);
	tell(&log, "get", VAULT_GRANTED, 3, false);
	tell(&log, "unwrapKey", VAULT_GRANTED, 4, false);
	for (unsigned i = 0; i < 3; i++)
		tell(&log, "unwrapKey", VAULT_GRANTED, 10 * (i + 1), true);
	tell(&log, "get", VAULT_GRANTED, 1, true);
	tell(&log, "unwrapKey", VAULT_DENIED, 5, true);
	tell(&log, "unwrapKey", VAULT_DENIED, 5, true);
	tell(&log, "get", VAULT_GRANTED, 6, true);	 /* another operation: no news */
	tell(&log, "unwrapKey", VAULT_GRANTED, 7, true); /* news */
	tell(&log, "unwrapKey", VAULT_GRANTED, 20, true);
	key_log_release(&log);
	assert_events("key_get key_unwrap key_unwrap key_unwrap key_unwrap probe_summary");
	assert_detail(0, "by", "unlock");
	assert_detail(0, "vault", "https://v.vault.azure.net");
	assert_detail(0, "kid", KID);
	assert_detail(0, "class", "granted");
	assert_detail(0, "request_id", "r");
	assert_int_equal(json_integer_value(detail(1, "latency_ms")), 4);
	assert_detail(2, "by", "probe");
	assert_detail(2, "class", "denied");
	assert_detail(2, "error", "no \\xff");
	assert_detail(4, "class", "granted");
	assert_int_equal(json_integer_value(detail(5, "since")), 1700000000);
	for (unsigned i = 0; i < 4; i++) {
		static const struct {
			const char *key;
			json_int_t value;
		} sums[] = {
			{ "granted", 4 }, { "min_ms", 10 }, { "average_ms", 20 }, { "max_ms", 30 }
		};

		assert_int_equal(json_integer_value(
					 json_object_get(detail(5, "unwrapKey"), sums[i].key)),
				 sums[i].value);
	}
	assert_int_equal(json_integer_value(json_object_get(detail(5, "get"), "granted")), 2);
}

static void a_sum_is_written_each_hour(void **state)
{
	struct key_log log;

	(void)state;
	fake_ms = 5;
	open_audit();
	key_log_init(&log, audit, NULL, &fake_clock);
	tell(&log, "get", VAULT_GRANTED, 1, true);
	fake_ms += HOUR - 1;
	tell(&log, "get", VAULT_GRANTED, 1, true);
	fake_ms += 1;
	tell(&log, "get", VAULT_GRANTED, 1, true);
	key_log_end(&log);
	tell(&log, "get", VAULT_DENIED, 1, true); /* nobody is told any more */
	key_log_release(&log);
	assert_events("probe_summary probe_summary");
	assert_int_equal(json_integer_value(json_object_get(detail(0, "get"), "granted")), 2);
	assert_int_equal(json_integer_value(json_object_get(detail(1, "get"), "granted")), 1);
}

static void an_alarm_of_the_credential_is_told_once(void **state)
{
	struct vault_report bad = { .verdict = VAULT_UNREACHABLE, .credential_alarm = true },
			    silent = { .verdict = VAULT_UNREACHABLE },
			    good = { .verdict = VAULT_GRANTED };
	const struct vault_report *const reports[] = { &bad, &bad, &silent, &bad, &good, &good };
	struct key_log log;

	(void)state;
	open_audit();
	key_log_init(&log, audit, NULL, &fake_clock);
	for (size_t i = 0; i < ARRAY_SIZE(reports); i++)
		key_log_call(&log, &(struct vault_call){ "get", KID, 1, reports[i] }, true);
	key_log_release(&log);
	assert_events("key_get credential_alarm key_get key_get key_get key_get credential_good "
		      "probe_summary");
}

/* A volume. */

static struct config *config;
static const struct volume_config *vc;

/* Shell words about $D, the test's directory. */
static void run(const char *command)
{
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
}

static void format(void)
{
	const struct vault_watch watch = { .volume = "v", .audit = audit, .by = "format" };
	struct volume_header header;
	struct errmsg err = { 0 };
	char text[2048];

	assert_int_equal(setenv("D", dir, 1), 0);
	run("mkdir -m 700 $D/back && mkdir $D/mnt && cp " TDEFS_VECTORS "/oaep_key.pem $D/key.pem "
	    "&& chmod 600 $D/key.pem");
	(void)snprintf(text, sizeof(text),
		       "[server]\nprotector = file:%s/key.pem\nstate_dir = %s/state\n"
		       "[volume v]\nbacking = %s/back\nmount = %s/mnt\n",
		       dir, dir, dir, dir);
	assert_int_equal(config_parse("t.conf", text, &config, &err), 0);
	assert_int_equal(config_volume(config, "v", &vc, &err), 0);
	assert_int_equal(log_open("/dev/null"), 0);
	assert_int_equal(
		volume_format(&sysio_kernel, config, vc, &watch, 1700000000, &header, &err), 0);
}

static struct volume *open_volume(bool accept_header)
{
	const struct volume_options o = { .sys = &sysio_kernel,
					  .audit = audit,
					  .accept_header = accept_header };
	const struct guard_event settle = { .kind = GUARD_DRILL_END };
	struct errmsg err = { 0 };
	struct volume *v;

	assert_int_equal(volume_open(config, vc, &o, &v, &err), 0);
	assert_int_equal(volume_start(v, &err), 0);
	assert_int_equal(guard_runner_wait(volume_guard(v), 0), GUARD_ONLINE);
	/* Without a drill this does nothing, but the steps before it have been told of then. */
	assert_int_equal(guard_runner_command(volume_guard(v), &settle), 0);
	return v;
}

static void a_format_and_a_mount_are_told(void **state)
{
	struct volume *v;

	(void)state;
	open_audit();
	format();
	v = open_volume(false);
	volume_event_mounted(v);
	assert_false(volume_event_log_failing(v));
	assert_int_equal(volume_close(v), 0);
	/* Of format: what a protector must be able to do is tried, then DEK and canary are wrapped. */
	assert_events("key_get key_wrap key_unwrap key_wrap key_unwrap key_wrap key_unwrap format "
		      "policy_noted key_get key_unwrap state mount policy_noted unmount");
	assert_detail(0, "by", "format");
	assert_detail(0, "vault", "file");
	assert_detail(9, "by", "unlock");
	assert_detail(11, "state", "online");
	assert_detail(11, "previous", "starting");
	assert_true(json_is_true(detail(14, "all_written")));
	config_free(config);
}

static void another_header_is_told(void **state)
{
	struct volume *v;

	(void)state;
	format(); /* nobody is told: there is no log */
	run("rm $D/state/v.pin && echo > $D/back/.tdefs/header");
	open_audit();
	v = open_volume(true);
	assert_int_equal(volume_close(v), 0); /* never mounted */
	assert_events("key_get key_unwrap header_repaired pin_updated state");
	assert_true(json_is_true(detail(3, "accept_header")));
	assert_null(detail(3, "before"));
	assert_detail(2, "header", "damaged");
	assert_detail(2, "header_bak", "good");
	config_free(config);
}

static void a_lock_that_cannot_be_kept_is_told(void **state)
{
	const struct guard_event lock = { .kind = GUARD_LOCK };
	const struct volume_command command = { .name = "lock", .uid = 0 };
	struct guard_view view;
	struct volume *v;

	(void)state;
	format();
	open_audit();
	v = open_volume(false);
	do { /* the first grant is remembered */
		clock_kernel.sleep_ms(1);
		guard_runner_view(volume_guard(v), &view);
	} while (view.persisting);
	run("rm $D/back/.tdefs/state && mkdir $D/back/.tdefs/state");
	volume_event_command(v, &command);
	assert_int_equal(guard_runner_command(volume_guard(v), &lock), 0);
	do { /* a thread of its own writes it */
		clock_kernel.sleep_ms(1);
		guard_runner_view(volume_guard(v), &view);
	} while (view.guard.state != GUARD_INACCESSIBLE || !view.persist_failed);
	assert_int_equal(volume_close(v), 0);
	audit_close(TAKE_PTR(audit));
	assert_string_equal(seen[3].event, "lock");
	assert_non_null(detail(3, "uid"));
	for (size_t i = 4, failed = 0, downs = 0; i < nseen; i++) { /* in any order */
		failed += strcmp(seen[i].event, "persist_failed") == 0;
		downs += strcmp(seen[i].event, "state") == 0;
		if (i + 1 == nseen)
			assert_true(failed == 1 && downs == 2);
	}
	config_free(config);
}

static void files_are_told_of_in_passing(void **state)
{
	struct volume *v;
	struct entry e;
	uint64_t handle;

	(void)state;
	format();
	run("head -c 8192 /dev/zero | tr '\\0' x > $D/back/f");
	open_audit();
	v = open_volume(false);
	assert_int_equal(store_lookup(volume_store(v), STORE_ROOT_NODE, "f", &e), 0);
	assert_int_equal(store_open_file(volume_store(v), e.node, O_RDONLY, &handle), -EBADMSG);
	store_forget(volume_store(v), e.node, 1);
	assert_int_equal(volume_close(v), 0);
	assert_events("key_get key_unwrap state file_header_damaged");
	assert_int_equal(seen[2].weight, AUDIT_MAJOR);
	assert_int_equal(seen[3].weight, AUDIT_MINOR);
	assert_true(json_integer_value(detail(3, "inode")) > 0);
	config_free(config);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_probes_that_are_granted_are_summed_up),
		TEST(a_sum_is_written_each_hour),
		TEST(an_alarm_of_the_credential_is_told_once),
		TEST(a_format_and_a_mount_are_told),
		TEST(another_header_is_told),
		TEST(a_lock_that_cannot_be_kept_is_told),
		TEST(files_are_told_of_in_passing),
	};

	return cmocka_run_group_tests_name("events of volumes", tests, NULL, NULL);
}
