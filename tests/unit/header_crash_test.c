/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes a volume's header is killed at each of its system calls, and the
 * power is cut after each: the header that is left opens with the key of before or
 * with the one of after, and whoever comes next goes on from there.
 */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/kit.h"
#include "../support/power_cut.h"
#include "../support/temporary.h"
#include "tdefs/atomic_file.h"
#include "tdefs/log.h"
#include "tdefs/volume_copy.h"
#include "tdefs/volume_rotate.h"

#define KEYS	3
#define TRIES	(TDEFS_SANITIZED ? 2 : 4) /* random futures of each power cut */
#define TIMEOUT VAULT_COMMAND_TIMEOUT_MS

static char dir[TEMPORARY_PATH_MAX], root[TEMPORARY_PATH_MAX + 8];
static char backing_path[TEMPORARY_PATH_MAX + 16], state_dir[TEMPORARY_PATH_MAX + 16];
static char kids[KEYS][TEMPORARY_PATH_MAX + 32];
static struct vault *vaults[KEYS];
static const struct vault_watch watch = { .volume = "v" };
static struct errmsg err;
static struct secret *dek; /* of the header that is changed; NULL: there is none yet */
static unsigned kill_at;   /* calls after which the process dies; 0: it does not */

/* What changes the header, and how it is before and after. */
struct operation {
	const char *name;
	int (*prepare)(void);
	int (*act)(const struct sysio *sys);
	const char *before, *after; /* kids */
	bool retires;
	bool has_pin;
	bool mounts; /* by what is configured, before and after */
	void (*check)(const struct volume_header *h, bool done); /* what else is to be so */
};

/* The volume's protector and the keys that may open it. */
static int configure(unsigned protector, unsigned linked)
{
	char path[TEMPORARY_PATH_MAX + 16];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/t.conf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
		"[server]\nprotector = %s\nlinked = %s\nprobe_interval = 10s\n"
		"state_dir = %s\nruntime_dir = %s/run\n[volume v]\nbacking = %s\nmount = %s/mnt\n",
		kids[protector], kids[linked], state_dir, dir, backing_path, dir);
	return fclose(f);
}

static void configured(struct config **ret_config, const struct volume_config **ret_volume)
{
	char path[TEMPORARY_PATH_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/t.conf", dir);
	assert_int_equal(config_load(path, ret_config, &err), 0);
	assert_int_equal(config_volume(*ret_config, "v", ret_volume, &err), 0);
}

static void make_key(unsigned n)
{
	static const struct settings none;
	char command[1024];
	const char *path = kids[n] + strlen("file:");

	(void)snprintf(kids[n], sizeof(kids[n]), "file:%s/key%u.pem", dir, n);
	(void)snprintf(command, sizeof(command),
		       "openssl genrsa -out %s 2048 2>/dev/null && chmod 600 %s", path, path);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
	assert_int_equal(vault_open(kids[n], &none, &clock_kernel, &vaults[n], &err), 0);
}

static int setup(void **state)
{
	char path[TEMPORARY_PATH_MAX + 8];

	(void)state;
	if (temporary_directory(dir) < 0)
		return -1;
	(void)snprintf(root, sizeof(root), "%s/disk", dir);
	(void)snprintf(backing_path, sizeof(backing_path), "%s/back", root);
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", root);
	(void)snprintf(path, sizeof(path), "%s/mnt", dir);
	for (unsigned n = 0; n < KEYS; n++)
		make_key(n);
	kit_seed(kit_announce_seed("power cuts"));
	return mkdir(root, 0700) || mkdir(backing_path, 0700) || mkdir(path, 0700) ||
	       configure(0, 1) || log_open("/dev/null");
}

static int teardown(void **state)
{
	(void)state;
	power_cut_end();
	secret_free(dek);
	dek = NULL;
	for (unsigned n = 0; n < KEYS; n++)
		vault_close(vaults[n]);
	return temporary_remove(dir);
}

/* From here on a call may be the last. */
static void arm(void)
{
	if (kill_at)
		faults_kill(kill_at);
}

static int format(const struct sysio *sys)
{
	const struct volume_config *vc;
	struct volume_header h;
	struct config *config;
	int r;

	configured(&config, &vc);
	arm();
	r = volume_format(sys, config, vc, &watch, 1, &h, &err);
	config_free(config);
	return r;
}

/* Of the volume; without `own` of its backing as a copy. */
static int rewrap(const struct sysio *sys, bool own, const struct rotation_request *request)
{
	CLEANUP_BACKING struct backing backing = BACKING_NONE;
	static struct rotation_outcome outcome;
	struct rewrap rewrap = { .sys = sys, .backing = &backing, .watch = &watch, .now = 1 };
	struct config *config;

	configured(&config, &rewrap.volume);
	rewrap.config = config;
	if (!own)
		rewrap.volume = NULL;
	assert_int_equal(backing_open(backing_path, "v", true, &backing, &err), 0);
	arm();
	IGNORE_RESULT(volume_rewrap(&rewrap, request, &outcome), "the outcome has it");
	err = outcome.message;
	config_free(config);
	return outcome.error;
}

static int rotate(const struct sysio *sys)
{
	return rewrap(sys, true, &(struct rotation_request){ 0 });
}

static int rotate_and_retire(const struct sysio *sys)
{
	return rewrap(sys, true, &(struct rotation_request){ .retire = true });
}

static int rewrap_copy(const struct sysio *sys)
{
	struct rotation_request request = { .retire = true };

	(void)snprintf(request.to, sizeof(request.to), "%s", kids[1]);
	return rewrap(sys, false, &request);
}

static int rewrap_from_previous(const struct sysio *sys)
{
	struct rotation_request request = { .from_previous = true };

	(void)snprintf(request.to, sizeof(request.to), "%s", kids[2]);
	return rewrap(sys, true, &request);
}

/* Until it is online; what it is rotated to, if at all, is what it is by then. */
static int mount(const struct sysio *sys, bool accept_header, bool then_rotate)
{
	const struct volume_options o = { .sys = sys, .accept_header = accept_header };
	static struct rotation_view view;
	const struct volume_config *vc;
	struct volume *v = NULL;
	struct config *config;
	uint64_t number;
	int r;

	configured(&config, &vc);
	r = volume_open(config, vc, &o, &v, &err);
	if (r == 0)
		r = volume_start(v, &err);
	if (r == 0)
		r = guard_runner_wait(volume_guard(v), 60000) == GUARD_ONLINE ? 0 : -ENOKEY;
	if (r == 0 && then_rotate) {
		arm();
		r = volume_rotate(v, &(struct rotation_request){ 0 }, &number, &err);
		do {
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
			volume_rotation_view(v, &view);
		} while (view.busy);
		if (r == 0)
			r = view.outcome.error;
	}
	if (v && volume_close(v) < 0)
		r = -EIO;
	config_free(config);
	return r;
}

static int rotate_mounted(const struct sysio *sys)
{
	return mount(sys, false, true);
}

static int nothing_yet(void)
{
	return 0;
}

static int formatted(void)
{
	return format(&sysio_kernel) ? -1 : configure(1, 0);
}

/* The key of now is lost, the one of before is known. */
static int rotated_and_lost(void)
{
	return formatted() || rotate(&sysio_kernel) ? -1 : configure(2, 0);
}

static struct volume_header backup; /* of before */

static int restore(const struct sysio *sys)
{
	CLEANUP_BACKING struct backing backing = BACKING_NONE;
	struct header_restore o = { .sys = sys, .backing = &backing, .watch = &watch };
	static struct header_restored what;
	struct config *config;
	int r;

	configured(&config, &o.volume);
	o.config = config;
	o.header = &backup;
	o.force = true;
	assert_int_equal(backing_open(backing_path, "v", true, &backing, &err), 0);
	arm();
	r = volume_restore_header(&o, &what, &err);
	config_free(config);
	return r;
}

static int renew_uuid(const struct sysio *sys)
{
	const struct volume_config *vc;
	struct config *config;
	int r;

	configured(&config, &vc);
	arm();
	r = volume_renew_uuid(sys, config, vc, &watch, false, &err);
	config_free(config);
	return r;
}

/* What is left. */

static const struct volume_header *on_disk(struct header_found *found)
{
	int fd = open(backing_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int header_fd = openat(fd, ".tdefs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = header_fd < 0 ? -ENOENT : header_read(&sysio_kernel, header_fd, "v", found, &err);

	close(fd);
	close(header_fd);
	if (r < 0 && r != -ENOENT)
		fail_msg("%s", err.text);
	return r == 0 ? &found->header : NULL;
}

/* Rotated since, and of that header only the second copy is left. */
static int backed_up_and_rotated(void)
{
	static struct header_found found;
	char path[TEMPORARY_PATH_MAX + 48];

	if (formatted() || !on_disk(&found))
		return -1;
	backup = found.header;
	(void)snprintf(path, sizeof(path), "%s/.tdefs/header", backing_path);
	return rotate(&sysio_kernel) || unlink(path);
}

static int formatted_and_known(void)
{
	static struct header_found found;

	if (formatted() || !on_disk(&found))
		return -1;
	backup = found.header;
	return 0;
}

static unsigned key_of(const char *kid)
{
	for (unsigned n = 0; n < KEYS; n++)
		if (strcmp(kids[n], kid) == 0)
			return n;
	fail_msg("an unknown key: %s", kid);
	return 0;
}

static size_t previous_slots(const struct volume_header *h)
{
	size_t n = 0;

	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		n += h->slots[i].state == SLOT_PREVIOUS;
	return n;
}

/* It gives the DEK, to the key of before or of after, and no pin says that it is too old. */
static void check_header(const struct operation *o, const struct volume_header *h)
{
	const char *kid = volume_header_active_slot(h)->kid;
	struct vault_report rep = { 0 };
	struct secret *got = NULL;
	struct pin pin;
	int r;

	assert_true(strcmp(kid, o->before) == 0 || strcmp(kid, o->after) == 0);
	r = keyring_unlock(vaults[key_of(kid)], kid, h, "v", TIMEOUT, &got, &rep);
	if (r < 0)
		fail_msg("%s: %s", o->name, rep.error.text);
	if (dek)
		assert_memory_equal(secret_view(got), secret_view(dek), DEK_LEN);
	secret_free(got);
	if (o->check)
		o->check(h, false);
	r = o->has_pin ? pin_read(&sysio_kernel, state_dir, "v", &pin) : 0;
	if (r != 0)
		assert_true(r == -ENOENT && !dek);
	else if (o->has_pin && pin_check(&pin, h, "v", &err) < 0)
		fail_msg("%s: %s", o->name, err.text);
}

/* Success was told: nothing of it may be lost. */
static void check_done(const struct operation *o)
{
	static struct header_found found;
	const struct volume_header *h = on_disk(&found);
	struct pin pin;

	assert_non_null(h);
	check_header(o, h);
	assert_string_equal(volume_header_active_slot(h)->kid, o->after);
	assert_false(header_needs_repair(&found));
	assert_int_equal(previous_slots(h) == 0, o->retires);
	if (o->check)
		o->check(h, true);
	if (!o->has_pin)
		return;
	assert_int_equal(pin_read(&sysio_kernel, state_dir, "v", &pin), 0);
	assert_int_equal(pin.sequence, h->sequence);
}

static void check_left(const struct operation *o)
{
	static struct header_found found;
	const struct volume_header *h = on_disk(&found);

	if (h)
		check_header(o, h);
	else /* nothing was formatted, and nothing is in the way of doing so */
		assert_true(!dek && format(&sysio_kernel) == 0);
}

/* Whoever comes next goes on: a mount, and the same once more. */
static void check_goes_on(const struct operation *o)
{
	check_left(o);
	if (o->mounts && mount(&sysio_kernel, !dek, false) < 0)
		fail_msg("%s: it does not mount: %s", o->name, err.text);
	if (dek && o->act(&sysio_kernel) < 0)
		fail_msg("%s: not again: %s", o->name, err.text);
	check_done(o);
}

/* 0: it is done; else it was killed at that call. */
static int killed_at(const struct operation *o, unsigned n)
{
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		kill_at = n;
		_exit(o->act(&faults_sysio) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGKILL);
	else
		assert_int_equal(WEXITSTATUS(status), 0);
	return status;
}

/* A sanitizer's processes fork slowly: some of the calls are enough for it. */
static void kill_at_each_call(const struct operation *o)
{
	const unsigned step = TDEFS_SANITIZED ? 6 : 1;
	unsigned n = 1 + kit_random(step);

	while (killed_at(o, n) != 0) {
		check_goes_on(o);
		power_cut_kill(0);
		n += step;
	}
	check_done(o);
	power_cut_kill(0);
	assert_true(n > 20);
}

static void cut_power_after_each_change(const struct operation *o)
{
	const struct sysio *sys = power_cut_begin(root);
	size_t calls;

	assert_int_equal(o->act(sys), 0);
	calls = power_cut_calls();
	assert_true(calls >= 15);
	for (size_t n = 0; n <= calls; n++)
		for (int i = 0; i < TRIES; i++) {
			power_cut_after(n, kit_random);
			if (n == calls)
				check_done(o);
			else
				check_left(o);
		}
	power_cut_kill(0);
}

static void remember_dek(const struct operation *o)
{
	static struct header_found found;
	const struct volume_header *h = on_disk(&found);
	struct vault_report rep;

	if (h)
		assert_int_equal(keyring_unlock(vaults[key_of(o->before)], o->before, h, "v",
						TIMEOUT, &dek, &rep),
				 0);
}

static void survives(const struct operation *o)
{
	assert_int_equal(o->prepare(), 0);
	remember_dek(o);
	IGNORE_RESULT(power_cut_begin(root), "what is killed is not recorded");
	kill_at_each_call(o);
	cut_power_after_each_change(o);
}

/* The first half of which is a rotation that keeps the previous slot. */
static void rotate_and_retire_survives(void **state)
{
	(void)state;
	survives(&(struct operation){ "rotate --retire", formatted, rotate_and_retire, kids[0],
				      kids[1], .retires = true, .has_pin = true, .mounts = true });
}

static void rotate_of_a_mounted_volume_survives(void **state)
{
	(void)state;
	survives(&(struct operation){ "rotate, mounted", formatted, rotate_mounted, kids[0],
				      kids[1], .has_pin = true, .mounts = true });
}

static void rewrap_of_a_copy_survives(void **state)
{
	(void)state;
	survives(&(struct operation){ "rewrap DIR", formatted, rewrap_copy, kids[0], kids[1],
				      .retires = true });
}

static void rewrap_from_previous_survives(void **state)
{
	(void)state;
	survives(&(struct operation){ "rewrap --from-previous", rotated_and_lost,
				      rewrap_from_previous, kids[1], kids[2], .has_pin = true });
}

static bool is_kept_as(const char *name)
{
	static uint8_t bytes[VOLUME_HEADER_MAX];
	static struct volume_header kept;
	char path[TEMPORARY_PATH_MAX + 64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/.tdefs/%s", backing_path, name);
	n = atomic_file_read(&sysio_kernel, AT_FDCWD, path, bytes, sizeof(bytes));
	return n > 0 && volume_header_parse(bytes, (size_t)n, sha256, &kept) == 0 &&
	       strcmp(volume_header_active_slot(&kept)->kid, kids[1]) == 0;
}

/* Wherever it stops, the header that was replaced is there, too; a mount meanwhile repairs the first copy. */
static void check_kept(const struct volume_header *h, bool done)
{
	if (strcmp(volume_header_active_slot(h)->kid, kids[1]) == 0 && !done)
		return;
	assert_true(is_kept_as("header.bak.kept-1") || is_kept_as("header.kept-1"));
	assert_memory_equal(h->macs, backup.macs, sizeof(h->macs));
}

static void header_restore_survives(void **state)
{
	(void)state;
	survives(&(struct operation){ "header restore", backed_up_and_rotated, restore, kids[1],
				      kids[0], .retires = true, .has_pin = true, .mounts = true,
				      .check = check_kept });
}

/* Between header and pin no mount takes it, but the same again does. */
static void check_renewed(const struct volume_header *h, bool done)
{
	struct pin pin;

	if (!done)
		return;
	assert_memory_not_equal(h->uuid, backup.uuid, sizeof(h->uuid));
	assert_memory_equal(h->key_domain_id, backup.key_domain_id, sizeof(h->key_domain_id));
	assert_int_equal(pin_read(&sysio_kernel, state_dir, "v", &pin), 0);
	assert_int_equal(pin_check(&pin, h, "v", &err), 0);
	assert_int_equal(pin.sequence, h->sequence);
}

static void new_uuid_survives(void **state)
{
	(void)state;
	survives(&(struct operation){ "mount --new-uuid", formatted_and_known, renew_uuid, kids[0],
				      kids[0], .retires = true, .check = check_renewed });
}

static void format_survives(void **state)
{
	(void)state;
	survives(&(struct operation){ "format", nothing_yet, format, kids[0], kids[0],
				      .retires = true, .has_pin = true, .mounts = true });
}

/*
 * A mount may find a header that a killed rotation left, and that is not safe on disk as yet: it must
 * not let a pin be safe before it.
 */
static void a_power_cut_during_the_mount_after_a_kill(void **state)
{
	const struct operation o = {
		"rotate", formatted, rotate, kids[0], kids[1], .has_pin = true
	};
	const struct sysio *sys;
	size_t calls;

	(void)state;
	assert_int_equal(formatted(), 0);
	remember_dek(&o);
	sys = power_cut_begin(root);
	assert_int_equal(rotate(sys), 0);
	calls = power_cut_calls();
	for (size_t n = 0; n <= calls; n++) {
		power_cut_kill(0);
		sys = power_cut_begin(root);
		assert_int_equal(rotate(sys), 0);
		power_cut_kill(n);
		assert_int_equal(mount(sys, false, false), 0);
		for (size_t m = n, end = power_cut_calls(); m <= end; m++)
			for (int i = 0; i < TRIES / 2; i++) {
				power_cut_after(m, kit_random);
				check_left(&o);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rotate_and_retire_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(rotate_of_a_mounted_volume_survives, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rewrap_of_a_copy_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(rewrap_from_previous_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(header_restore_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(new_uuid_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(format_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(a_power_cut_during_the_mount_after_a_kill, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
