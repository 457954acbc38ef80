/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting and opening volumes, what is refused, and the control protocol. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/temporary.h"
#include "tdefs/control.h"
#include "tdefs/log.h"
#include "tdefs/metrics_server.h"
#include "tdefs/protector.h"
#include "tdefs/volume.h"

static char dir[TEMPORARY_PATH_MAX];
static struct config *config;
static const struct volume_config *vc;
static struct errmsg err;

/* Shell words about $D, the test's directory. */
static void run(const char *command)
{
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
}

static char *path_of(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static int setup(void **state)
{
	char text[2048];

	(void)state;
	if (temporary_directory(dir) < 0 || setenv("D", dir, 1) < 0)
		return -1;
	run("mkdir -m 700 $D/back");
	run("mkdir $D/mnt");
	run("cp " TDEFS_VECTORS "/oaep_key.pem $D/key.pem");
	run("chmod 600 $D/key.pem");
	(void)snprintf(text, sizeof(text),
		       "[server]\nprotector = file:%s/key.pem\nstate_dir = %s/state\n"
		       "runtime_dir = %s/run\n[volume v]\nbacking = %s/back\nmount = %s/mnt\n",
		       dir, dir, dir, dir, dir);
	memset(&err, 0, sizeof(err));
	if (config_parse("t.conf", text, &config, &err) < 0)
		return -1;
	return config_volume(config, "v", &vc, &err) || log_open("/dev/null");
}

static int teardown(void **state)
{
	(void)state;
	config_free(config);
	return temporary_remove(dir);
}

static int format(const struct sysio *sys)
{
	const struct vault_watch watch = { .volume = "v" };
	struct volume_header h;

	return volume_format(sys, config, vc, &watch, 1700000000, &h, &err);
}

static int open_volume(bool accept, struct volume **ret)
{
	const struct volume_options o = { .sys = &sysio_kernel, .accept_header = accept };

	return volume_open(config, vc, &o, ret, &err);
}

/* Let the guard ask for the key, as a mount does: 0, or what the protector's answer means. */
static int get_key(struct volume *v)
{
	struct guard_view view;
	enum guard_state state;

	assert_int_equal(volume_start(v, &err), 0);
	state = guard_runner_wait(volume_guard(v), 60000);
	guard_runner_view(volume_guard(v), &view);
	if (state == GUARD_ONLINE)
		return 0;
	err = view.report.error;
	return protector_failed(&view.report, NULL);
}

static int try_open(bool accept)
{
	struct volume *v = NULL;
	int r = open_volume(accept, &v);

	if (r < 0)
		return r;
	r = get_key(v);
	assert_int_equal(volume_close(v), 0);
	return r;
}

static void assert_message(int r, int expect, const char *text)
{
	assert_int_equal(r, expect);
	if (!strstr(err.text, text)) {
		print_error("\"%s\" does not say \"%s\"\n", err.text, text);
		fail();
	}
	assert_true(err.next[0] != '\0');
}

static void a_formatted_volume_opens(void **state)
{
	(void)state;
	assert_int_equal(format(&sysio_kernel), 0);
	assert_int_equal(access(path_of("back/.tdefs/header"), F_OK), 0);
	assert_int_equal(access(path_of("back/.tdefs/header.bak"), F_OK), 0);
	assert_int_equal(access(path_of("state/v.pin"), F_OK), 0);
	assert_int_equal(try_open(false), 0);
}

static void format_refuses_what_it_would_harm(void **state)
{
	(void)state;
	run("touch $D/back/data");
	assert_message(format(&sysio_kernel), -ENOTEMPTY, "is not empty: it holds data");
	assert_int_equal(access(path_of("back/.tdefs"), F_OK), -1);
	run("rm $D/back/data");
	run("mkdir $D/back/lost+found"); /* not a file system's root: somebody's directory */
	assert_message(format(&sysio_kernel), -ENOTEMPTY, "lost+found");
	run("rmdir $D/back/lost+found");
	assert_int_equal(format(&sysio_kernel), 0);
	assert_message(format(&sysio_kernel), -EEXIST, "formatted already");
	run("rm $D/back/.tdefs/header; dd if=/dev/zero of=$D/back/.tdefs/header.bak bs=1 count=9 "
	    "conv=notrunc 2>/dev/null");
	assert_message(format(&sysio_kernel), -EEXIST,
		       "formatted already"); /* damaged is not empty */
	run("rm -r $D/back/.tdefs");
	assert_message(format(&sysio_kernel), -EEXIST, "it has a pin");
	run("rm $D/state/v.pin");
	assert_int_equal(format(&sysio_kernel), 0);
}

static void a_backing_in_another_is_refused(void **state)
{
	(void)state;
	run("mkdir -p $D/outer/.tdefs $D/outer/a && mv $D/back $D/outer/a/back && "
	    "ln -s outer/a/back $D/back");
	assert_int_equal(format(&sysio_kernel), 0); /* a .tdefs alone is no volume */
	assert_int_equal(try_open(false), 0);
	run("touch $D/outer/.tdefs/header.bak");
	assert_message(try_open(false), -ELOOP, "/outer of another volume");
	run("rm -r $D/back/.tdefs $D/state/v.pin");
	assert_message(format(&sysio_kernel), -ELOOP, "lies in the backing");
	assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
	assert_int_equal(access(path_of("back/.tdefs"), F_OK), -1);
}

static void format_needs_a_backing_and_a_key(void **state)
{
	(void)state;
	run("mv $D/key.pem $D/away");
	assert_message(format(&sysio_kernel), -EKEYREVOKED, "cannot open: No such file");
	run("mv $D/away $D/key.pem");
	run("chmod 644 $D/key.pem");
	assert_message(format(&sysio_kernel), -EKEYREJECTED, "group or others");
	assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
	run("chmod 600 $D/key.pem");
	assert_int_equal(access(path_of("back/.tdefs"), F_OK), -1);
	run("rmdir $D/back");
	assert_message(format(&sysio_kernel), -ENOENT, "backing");
	run("touch $D/back");
	assert_message(format(&sysio_kernel), -ENOTDIR, "backing");
	run("rm $D/back");
	run("mkdir $D/back");
}

/* Whatever fails, the directory is as it was, and can be formatted after all. */
static void failed_format_leaves_nothing(void **state)
{
	bool hit = true;

	(void)state;
	for (unsigned n = 1; hit; n++) {
		int r;

		faults_arm(n, -ENOSPC, false);
		r = format(&faults_sysio);
		hit = faults_disarm();
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_true(hit);
			assert_int_equal(access(path_of("back/.tdefs"), F_OK), -1);
			assert_int_equal(access(path_of("state/v.pin"), F_OK), -1);
		} else /* done, or the fault was only a close */
			run("rm -r $D/back/.tdefs $D/state/v.pin");
	}
}

static bool rival_comes_first;

/* At the very moment that .tdefs is made, another format of the same volume runs to its end. */
static int mkdir_with_a_rival(int dirfd, const char *path, mode_t mode)
{
	int r = rival_comes_first ? 0 : sysio_kernel.mkdirat(dirfd, path, mode);

	assert_int_equal(format(&sysio_kernel), 0);
	return rival_comes_first ? sysio_kernel.mkdirat(dirfd, path, mode) : r;
}

static void the_loser_of_two_formats_takes_nothing(void **state)
{
	struct sysio sys = sysio_kernel;

	(void)state;
	sys.mkdirat = mkdir_with_a_rival;
	for (int i = 0; i < 2; i++) {
		rival_comes_first = i;
		assert_message(format(&sys), -EEXIST, "formatted already");
		assert_int_equal(try_open(false), 0);
		run("rm -r $D/back/.tdefs $D/state/v.pin");
	}
}

static void leftovers_of_a_crashed_format_are_no_obstacle(void **state)
{
	(void)state;
	run("mkdir $D/back/.tdefs; echo half > $D/back/.tdefs/header.new");
	run("touch $D/back/.tdefs/lock");
	assert_int_equal(format(&sysio_kernel), 0);
	assert_int_equal(try_open(false), 0);
}

static void one_volume_is_opened_once(void **state)
{
	struct volume *v = NULL;

	(void)state;
	assert_int_equal(format(&sysio_kernel), 0);
	assert_int_equal(open_volume(false, &v), 0);
	assert_message(try_open(false), -EBUSY, "it is mounted");
	run("rm $D/state/v.pin");
	assert_message(format(&sysio_kernel), -EEXIST, "formatted already");
	assert_int_equal(volume_close(v), 0);
}

static void unformatted_directories_are_not_opened(void **state)
{
	(void)state;
	assert_message(try_open(false), -ENOENT, "not formatted");
	assert_int_equal(access(path_of("back/.tdefs"), F_OK), -1);
	run("mkdir $D/back/.tdefs");
	assert_message(try_open(false), -ENOENT, "no header");
	run("rm -r $D/back/.tdefs");
	run("touch $D/back/.tdefs");
	assert_message(try_open(false), -ENOTDIR, ".tdefs");
}

static void damaged_header_copies_are_made_good(void **state)
{
	(void)state;
	assert_int_equal(format(&sysio_kernel), 0);
	run("cp $D/back/.tdefs/header $D/good");
	run("dd if=/dev/zero of=$D/back/.tdefs/header bs=100 count=1 conv=notrunc 2>/dev/null");
	assert_int_equal(try_open(false), 0);
	run("cmp $D/good $D/back/.tdefs/header");
	run("rm $D/back/.tdefs/header.bak");
	assert_int_equal(try_open(false), 0);
	run("cmp $D/good $D/back/.tdefs/header.bak");
	run("echo x | tee $D/back/.tdefs/header > $D/back/.tdefs/header.bak");
	assert_message(try_open(false), -EBADMSG, "no good copy");
}

static void headers_that_do_not_match_the_pin_are_refused(void **state)
{
	(void)state;
	assert_int_equal(format(&sysio_kernel), 0);
	run("cp $D/state/v.pin $D/pin; cp -r $D/back/.tdefs $D/first");
	run("rm -r $D/back/.tdefs $D/state/v.pin");
	assert_int_equal(format(&sysio_kernel), 0); /* another volume in its place */
	run("cp $D/pin $D/state/v.pin");
	assert_message(try_open(false), -EKEYREJECTED, "does not match the pin");
	run("cmp $D/pin $D/state/v.pin");
	assert_int_equal(try_open(true), 0); /* --accept-header */
	assert_int_equal(try_open(false), 0);
	run("rm $D/state/v.pin");
	assert_message(try_open(false), -ENOENT, "no pin");
	run("echo nonsense > $D/state/v.pin");
	assert_message(try_open(false), -EBADMSG, "cannot read its pin");
	assert_int_equal(try_open(true), 0);
	assert_int_equal(try_open(false), 0);
}

static void a_wrong_protector_opens_nothing(void **state)
{
	(void)state;
	assert_int_equal(format(&sysio_kernel), 0);
	run("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $D/key.pem "
	    "2>/dev/null");
	assert_message(try_open(false), -EKEYREJECTED, "wrong protector");
	assert_message(try_open(true), -EKEYREJECTED, "wrong protector"); /* acceptance is no key */
}

static void unwritable_backings_are_said_to_be(void **state)
{
	(void)state;
	run("chattr +i $D/back");
	assert_message(format(&sysio_kernel), -EPERM, "cannot write .tdefs");
}

/* Mount points. */

static void mount_points_must_hide_nothing(void **state)
{
	struct volume_config other = *vc;

	(void)state;
	assert_int_equal(mountpoint_check(vc, &err), 0);
	run("touch $D/mnt/x");
	assert_message(mountpoint_check(vc, &err), -ENOTEMPTY, "not empty");
	other.mount = path_of("none");
	assert_message(mountpoint_check(&other, &err), -ENOENT, "mount point");
	other.mount = path_of("key.pem");
	assert_message(mountpoint_check(&other, &err), -ENOTDIR, "not a directory");
	other.mount = (char[]){ "/proc" };
	assert_message(mountpoint_check(&other, &err), -EBUSY, "something is mounted");
	run("mkdir $D/back/m");
	other.mount = path_of("back/m");
	assert_message(mountpoint_check(&other, &err), -ELOOP, "in the backing");
	other.mount = path_of(".");
	assert_message(mountpoint_check(&other, &err), -ELOOP, "around it");
	other.mount = path_of("back");
	assert_message(mountpoint_check(&other, &err), -ELOOP, "backing");
}

/* The control protocol, without a socket. */

static struct control_context context;

static json_t *ask(const char *request, uid_t uid)
{
	char *text = control_answer(&context, request, strlen(request), uid);
	json_t *answer;

	assert_non_null(text);
	answer = json_loads(text, 0, NULL);
	assert_non_null(answer);
	free(text);
	return answer;
}

static void assert_error(const char *request, uid_t uid, const char *expect)
{
	json_t *answer = ask(request, uid);
	const char *text = json_string_value(json_object_get(answer, "error"));

	assert_non_null(text);
	assert_non_null(strstr(text, expect));
	json_decref(answer);
}

static void open_context(struct volume **v)
{
	assert_int_equal(format(&sysio_kernel), 0);
	assert_int_equal(open_volume(false, v), 0);
	assert_int_equal(get_key(*v), 0);
	context = (struct control_context){ .volume = *v, .libfuse = "3", .mounted_at = 5 };
}

static void the_protocol_answers_status_and_refuses_the_rest(void **state)
{
	struct volume *v = NULL;
	json_t *answer;

	(void)state;
	open_context(&v);
	answer = ask("{\"command\": \"status\"}", 1000);
	assert_string_equal(json_string_value(json_object_get(answer, "state")), "online");
	assert_int_equal(json_integer_value(json_object_get(answer, "schema")), 1);
	assert_int_equal(json_integer_value(json_object_get(answer, "mounted_at")), 5);
	assert_non_null(json_object_get(json_object_get(answer, "counters"), "io_errors"));
	json_decref(answer);
	assert_error("", 0, "not a JSON object");
	assert_error("[1]", 0, "not a JSON object");
	assert_error("{\"command\": \"status\", \"command\": \"status\"}", 0, "not a JSON object");
	assert_error("{}", 0, "no such command");
	assert_error("{\"command\": 5}", 0, "no such command");
	assert_error("{\"command\": \"nonsense\"}", 0, "no such command");
	assert_error("{\"command\": \"recheck\", \"path\": \"x\"}", 1000, "only root");
	assert_error("{\"command\": \"recheck\"}", 0, "needs \"path\"");
	assert_error("{\"command\": \"recheck\", \"path\": \"x\"}", 0, "No such file");
	assert_int_equal(volume_close(v), 0);
}

static void the_socket_serves_and_goes_away(void **state)
{
	json_t *request = json_pack("{s:s}", "command", "status"), *answer = NULL;
	struct control_server *server = NULL;
	struct volume *v = NULL;
	struct stat st;

	(void)state;
	open_context(&v);
	assert_int_equal(control_call(path_of("run"), "v", request, &answer), -ENOENT);
	assert_int_equal(control_start(&context, path_of("run"), &server, &err), 0);
	assert_int_equal(stat(path_of("run/v.sock"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(st.st_uid, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(control_call(path_of("run"), "v", request, &answer), 0);
		assert_string_equal(json_string_value(json_object_get(answer, "name")), "v");
		json_decref(answer);
	}
	control_stop(server);
	assert_int_equal(stat(path_of("run/v.sock"), &st), -1);
	control_stop(NULL);
	json_decref(request);
	assert_int_equal(volume_close(v), 0);
}

/* Peers that say nothing useful: the next one is served all the same. */
static void the_socket_survives_bad_peers(void **state)
{
	json_t *request = json_pack("{s:s}", "command", "status"), *answer = NULL;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct control_server *server = NULL;
	struct volume *v = NULL;
	char noise[CONTROL_REQUEST_MAX + 100];

	(void)state;
	open_context(&v);
	assert_int_equal(control_start(&context, path_of("run"), &server, &err), 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("run/v.sock"));
	memset(noise, 'x', sizeof(noise));
	for (size_t len = 0; len <= sizeof(noise); len += sizeof(noise) / 3) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		IGNORE_RESULT(send(fd, noise, len, MSG_NOSIGNAL), "the server may hang up first");
		close(fd);
	}
	assert_int_equal(control_call(path_of("run"), "v", request, &answer), 0);
	json_decref(answer);
	json_decref(request);
	control_stop(server);
	assert_int_equal(volume_close(v), 0);
}

static void connect_socket(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("run/v.sock"));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static int connect_peer(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	connect_socket(fd);
	return fd;
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	assert_int_equal(clock_gettime(clock, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A byte now and then keeps nobody waiting for longer than one silent peer would. */
static void a_slow_peer_has_one_deadline(void **state)
{
	json_t *request = json_pack("{s:s}", "command", "status"), *answer = NULL;
	struct control_server *server = NULL;
	struct volume *v = NULL;
	double start;
	int fd;

	(void)state;
	open_context(&v);
	assert_int_equal(control_start(&context, path_of("run"), &server, &err), 0);
	start = seconds(CLOCK_MONOTONIC);
	fd = connect_peer();
	for (;;) { /* until the server hangs up */
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (send(fd, "x", 1, MSG_NOSIGNAL) < 0 || poll(&p, 1, 100) > 0)
			break;
		assert_true(seconds(CLOCK_MONOTONIC) - start < 9);
	}
	close(fd);
	assert_int_equal(control_call(path_of("run"), "v", request, &answer), 0);
	json_decref(answer);
	json_decref(request);
	control_stop(server);
	assert_int_equal(volume_close(v), 0);
}

static void a_silent_peer_does_not_delay_the_end(void **state)
{
	struct control_server *server = NULL;
	struct volume *v = NULL;
	double start;
	int fd;

	(void)state;
	open_context(&v);
	assert_int_equal(control_start(&context, path_of("run"), &server, &err), 0);
	fd = connect_peer();
	start = seconds(CLOCK_MONOTONIC);
	control_stop(server);
	assert_true(seconds(CLOCK_MONOTONIC) - start < 2);
	close(fd);
	assert_int_equal(volume_close(v), 0);
}

/* Without descriptors nobody is served, but no processor is burnt either. */
static void the_socket_waits_for_descriptors(void **state)
{
	struct rlimit before, none;
	struct control_server *server = NULL;
	struct volume *v = NULL;
	char answer[16];
	double start;
	int fd;

	(void)state;
	open_context(&v);
	assert_int_equal(control_start(&context, path_of("run"), &server, &err), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	none = (struct rlimit){ (rlim_t)dup(fd), before.rlim_max }; /* the first that is free */
	close((int)none.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	connect_socket(fd);
	start = seconds(CLOCK_PROCESS_CPUTIME_ID);
	IGNORE_RESULT(poll(NULL, 0, 500), "the time in which it would be burnt");
	assert_true(seconds(CLOCK_PROCESS_CPUTIME_ID) - start < 0.2);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(send(fd, "{}\n", 3, 0), 3);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	close(fd);
	control_stop(server);
	assert_int_equal(volume_close(v), 0);
}

static int connect_metrics(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("metrics.sock"));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Also beside peers that say nothing, of which the end does not wait. */
static void metrics_are_served_until_the_end(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
	struct volume *v = NULL;
	char answer[16384];
	size_t len = 0;
	struct stat st;
	ssize_t n;
	int fd, silent;

	(void)state;
	open_context(&v);
	metrics_server_start(&context, path_of("metrics.sock"));
	assert_int_equal(metrics_server_error(context.metrics), 0);
	fd = connect_metrics();
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	while ((n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(answer, "tdefs_state{volume=\"v\",state=\"online\"} 1\n"));
	close(fd);
	silent = connect_metrics();
	metrics_server_stop(context.metrics);
	close(silent);
	assert_int_equal(stat(path_of("metrics.sock"), &st), -1);
	metrics_server_stop(NULL);
	assert_int_equal(volume_close(v), 0);
}

static void a_place_is_taken_once_it_is_free(void **state)
{
	struct volume *v = NULL;
	json_t *answer;

	(void)state;
	open_context(&v);
	run("echo mine > $D/metrics.sock");
	metrics_server_start(&context, path_of("metrics.sock"));
	assert_int_equal(metrics_server_error(context.metrics), -EEXIST);
	answer = ask("{\"command\": \"status\"}", 1000);
	assert_int_equal(json_array_size(json_object_get(answer, "alarms")), 1);
	json_decref(answer);
	run("rm $D/metrics.sock");
	for (int i = 0; metrics_server_error(context.metrics) < 0; i++) {
		assert_true(i < 6000);
		IGNORE_RESULT(poll(NULL, 0, 10), "it tries again by and by");
	}
	close(connect_metrics());
	metrics_server_stop(context.metrics);
	assert_int_equal(volume_close(v), 0);
}

/* In states that a mounted volume is not in, too. */
static void each_state_has_a_next_step(void **state)
{
	static const struct {
		enum guard_state state;
		unsigned reasons;
		uint64_t silent_ms;
		const char *next;
	} cases[] = {
		{ GUARD_STARTING, 0, 0, "nothing: the vault is being asked" },
		{ GUARD_WAITING, 0, 5, "FIX; it is mounted as soon as the vault answers" },
		{ GUARD_FAILED, 0, 0, "FIX; then mount it again" },
		{ GUARD_ONLINE, 0, 0, "" },
		{ GUARD_ONLINE, 0, 5, "FIX; then it heals by itself" },
		{ GUARD_DRAINING, GUARD_OUTAGE, 5, "FIX; then it heals by itself" },
		{ GUARD_READ_ONLY, GUARD_OUTAGE, 5, "FIX; then it heals by itself" },
		{ GUARD_READ_ONLY, GUARD_DRILL, 0,
		  "nothing: this is a drill, and it ends by itself" },
		{ GUARD_INACCESSIBLE, GUARD_DENIED, 0,
		  "FIX; then it heals by itself, or by tdefsctl resume v" },
		{ GUARD_INACCESSIBLE, GUARD_LOCKED | GUARD_DENIED, 0,
		  "tdefsctl resume v, when it is to be used again" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guard_view view = { .guard = { .state = cases[i].state,
						      .reasons = cases[i].reasons,
						      .silent_ms = cases[i].silent_ms },
					   .answered = true,
					   .report = { .verdict = VAULT_UNREACHABLE,
						       .error = { .next = "FIX" } } };
		char next[CONTROL_NEXT_STEP_MAX];

		control_next_step(&view, vc, vc->settings.protector, next, sizeof(next));
		assert_string_equal(next, cases[i].next);
	}
}

/* A daemon that takes the call and says nothing. */
static void a_client_gives_up_in_the_end(void **state)
{
	json_t *request = json_pack("{s:s}", "command", "status"), *answer = NULL;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	run("mkdir $D/run");
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("run/v.sock"));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(control_call(path_of("run"), "v", request, &answer), -ETIMEDOUT);
	close(fd);
	json_decref(request);
}

/* What JSON and terminals cannot take is escaped, unambiguously. */
static void bytes_become_text_and_come_back(void **state)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{ "", "" },
		{ "plain/n\xc3\xa4me \xe2\x82\xac \xf0\x9f\x98\x80",
		  "plain/n\xc3\xa4me \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\x1b[31m\n\x7f", "\\x1b[31m\\x0a\\x7f" },
		{ "\\x41", "\\x5cx41" },
		{ "\xff\x80z", "\\xff\\x80z" },
		{ "\xc2\x9b", "\\xc2\\x9b" },			/* a control character of C1 */
		{ "\xc0\xaf", "\\xc0\\xaf" },			/* longer than need be */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },		/* a surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* beyond U+10FFFF */
		{ "\xe2\x82", "\\xe2\\x82" },			/* cut */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = text_new(cases[i].bytes);
		json_t *json = text_json(cases[i].bytes);

		assert_string_equal(text, cases[i].text);
		assert_string_equal(json_string_value(json), cases[i].text);
		assert_int_equal(text_unescape(text), 0);
		assert_string_equal(text, cases[i].bytes);
		json_decref(json);
		free(text);
	}
}

static void texts_are_cut_between_characters_and_checked(void **state)
{
	static const char *const bad[] = { "\\", "\\x", "\\x4", "\\xg0", "\\x00", "\\n41" };
	char out[8], text[16];

	(void)state;
	assert_string_equal(text_escape("abc\xff", out, 8), "abc\\xff");
	assert_string_equal(text_escape("abc\xff", out, 7), "abc");
	assert_string_equal(text_escape("ab\xe2\x82\xac", out, 5), "ab");
	assert_string_equal(text_escape("ab\xe2\x82\xac", out, 6), "ab\xe2\x82\xac");
	assert_string_equal(text_escape("a", out, 1), "");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof(text), "%s", bad[i]);
		assert_int_equal(text_unescape(text), -EINVAL);
	}
}

static void recheck_takes_names_that_are_not_text(void **state)
{
	struct volume *v = NULL;
	json_t *answer;

	(void)state;
	open_context(&v);
	run("printf x > \"$(printf '%s/back/\\377' $D)\""); /* too short to be a file of ours */
	answer = ask("{\"command\": \"recheck\", \"path\": \"\\\\xff\"}", 0);
	assert_non_null(json_object_get(answer, "good"));
	json_decref(answer);
	assert_error("{\"command\": \"recheck\", \"path\": \"\\\\xf\"}", 0, "needs \"path\"");
	assert_int_equal(volume_close(v), 0);
}

static void long_socket_paths_are_refused(void **state)
{
	struct control_server *server = NULL;
	struct volume *v = NULL;
	char *deep = path_of("a-directory-whose-name-is-so-long-that-the-path-of-a-socket-in-it-"
			     "does-not-fit-into-the-room-that-unix-sockets-have");

	(void)state;
	open_context(&v);
	assert_message(control_start(&context, deep, &server, &err), -ENAMETOOLONG,
		       "control socket");
	assert_int_equal(volume_close(v), 0);
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
		TEST(a_formatted_volume_opens),
		TEST(format_refuses_what_it_would_harm),
		TEST(a_backing_in_another_is_refused),
		TEST(format_needs_a_backing_and_a_key),
		TEST(failed_format_leaves_nothing),
		TEST(the_loser_of_two_formats_takes_nothing),
		TEST(leftovers_of_a_crashed_format_are_no_obstacle),
		TEST(one_volume_is_opened_once),
		TEST(unformatted_directories_are_not_opened),
		TEST(damaged_header_copies_are_made_good),
		TEST(headers_that_do_not_match_the_pin_are_refused),
		TEST(a_wrong_protector_opens_nothing),
		TEST(unwritable_backings_are_said_to_be),
		TEST(mount_points_must_hide_nothing),
		TEST(the_protocol_answers_status_and_refuses_the_rest),
		TEST(the_socket_serves_and_goes_away),
		TEST(the_socket_survives_bad_peers),
		TEST(a_slow_peer_has_one_deadline),
		TEST(a_silent_peer_does_not_delay_the_end),
		TEST(the_socket_waits_for_descriptors),
		TEST(metrics_are_served_until_the_end),
		TEST(a_place_is_taken_once_it_is_free),
		TEST(each_state_has_a_next_step),
		TEST(a_client_gives_up_in_the_end),
		TEST(bytes_become_text_and_come_back),
		TEST(texts_are_cut_between_characters_and_checked),
		TEST(recheck_takes_names_that_are_not_text),
		TEST(long_socket_paths_are_refused),
	};

	return cmocka_run_group_tests_name("volume", tests, NULL, group_teardown);
}
