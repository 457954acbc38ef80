/* SPDX-License-Identifier: Apache-2.0 */
/* The mount daemon's process. What it serves is src/fs's and src/volume's. */
#include "daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "json_answer.h"
#include "notify.h"
#include "process.h"
#include "tdefs/log.h"
#include "tdefs/volume_event.h"
#include "tdefs/volume_freeze.h"

#define STOP_SIGNAL_THREAD SIGUSR1

void daemon_tell_parent(struct daemon *d, enum exit_code code)
{
	uint8_t byte = (uint8_t)code;

	if (d->ready_fd < 0)
		return;
	IGNORE_RESULT(write(d->ready_fd, &byte, 1), "the parent may have been interrupted");
	close(d->ready_fd);
	d->ready_fd = -1;
}

static void *signal_loop(void *arg)
{
	const struct daemon *d = arg;
	const char *name = d->request->volume->name;
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, STOP_SIGNAL_THREAD);
	while (sigwait(&set, &signal) == 0 && !atomic_load(&d->ended)) {
		struct errmsg err = { 0 };

		if (signal == STOP_SIGNAL_THREAD) /* somebody else's */
			continue;
		if (signal == SIGHUP) {
			const struct volume_command reload = { .name = "reload" };
			struct config_changes changes;

			volume_event_command(d->volume, &reload);
			IGNORE_RESULT(volume_reload(d->volume, &changes, &err), "it is logged");
			continue;
		}
		if (!atomic_load(&d->mounted)) {
			guard_runner_cancel(volume_guard(d->volume));
			if (!atomic_load(&d->mounted)) /* else on_ready() may have missed it */
				continue;
		}
		IGNORE_RESULT(volume_thaw(d->volume, FREEZE_UNMOUNT, &err),
			      "mostly it is not frozen");
		/* Never by force: an engine may be at work. */
		if (mount_remove(name, d->where, &err) < 0)
			log_warning("signal %d: %s", signal, err.text);
	}
	return NULL;
}

/* Nobody reads an exit code of a daemon: tdefs unmount reads this. */
static void leave_word(const struct daemon *d, int error)
{
	const char *name = d->request->volume->name;
	int r = loss_note(d->request->config, name, error);

	if (r < 0)
		log_error("volume %s: cannot leave word of it: %s", name, errno_text(r));
}

int daemon_start_signals(struct daemon *d)
{
	int r = -pthread_create(&d->signal_thread, NULL, signal_loop, d);

	d->signals_served = r == 0;
	return r;
}

void daemon_stop_signals(struct daemon *d)
{
	if (!d->signals_served)
		return;
	atomic_store(&d->ended, true);
	pthread_kill(d->signal_thread, STOP_SIGNAL_THREAD);
	pthread_join(d->signal_thread, NULL);
	d->signals_served = false;
}

static int serve(struct daemon *d)
{
	int r = fs_serve(d->fs);

	if (r < 0)
		log_error("volume %s: the session ended: %s", d->request->volume->name,
			  errno_text(r));
	return r;
}

static int failed(const struct daemon *d, struct errmsg *err)
{
	return json_answer_failed(err, "tdefs", d->request->json, CONTROL_SCHEMA);
}

static int run(struct daemon *d)
{
	struct errmsg err = { 0 };
	int r, closed;

	process_raise_limits();
	r = daemon_start(d, &err);
	if (r < 0) {
		volume_event_mount_failed(d->audit, &err);
		IGNORE_RESULT(daemon_finish(d), "nothing was written yet");
		daemon_tell_parent(d, err.exit_code);
		return failed(d, &err);
	}
	r = serve(d);
	closed = daemon_finish(d);
	if (closed < 0)
		leave_word(d, closed);
	log_info("volume %s: unmounted", d->request->volume->name);
	return r < 0 || closed < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

/* exit(3) takes apart what a thread that was left behind may still use. */
static int end(const struct daemon *d, int code)
{
	log_close();
	if (d->left_behind) {
		IGNORE_RESULT(fflush(NULL), "nowhere left to report it");
		_exit(code);
	}
	return code;
}

/* The daemon, and this process as its keeper. */
static int run_kept(struct daemon *d)
{
	int notify_fd = -1;
	pid_t daemon;

	process_block_signals();
	if (d->request->foreground) {
		notify_fd = notify_open();
		d->notified = notify_fd >= 0;
		d->watchdog_ms = d->notified ? notify_watchdog_ms() : 0;
	}
	daemon = keeper_fork(notify_fd, &d->keeper);
	if (daemon == 0)
		return end(d, run(d));
	if (daemon < 0) {
		fprintf(stderr, "tdefs: cannot start the daemon: %s\n  next: try again\n",
			errno_text((int)daemon));
		return EXIT_CODE_FAILED;
	}
	if (d->ready_fd >= 0) {
		close(d->ready_fd);
		daemon_detach_output();
	}
	d->keeper.where = d->request->volume->mount;
	d->keeper.filtered = d->request->volume->settings.seccomp;
	return keeper_watch(&d->keeper, daemon);
}

/* In the parent: what the child says, or what its silence means. */
static int wait_until_ready(const struct daemon *d, int fd, pid_t child)
{
	const struct volume_config *vc = d->request->volume;
	struct errmsg err = { 0 };
	uint8_t code;
	struct statfs st;
	ssize_t n;

	errmsg_next(&err, "see the system log");
	do
		n = read(fd, &code, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1) {
		(void)errmsg_fail(&err, -EIO, EXIT_CODE_FAILED,
				  "volume %s: the daemon (process %d) ended without a word",
				  vc->name, (int)child);
		return failed(d, &err);
	}
	/* It has begun to answer the kernel: one question more, and its answer is the proof. */
	if (code == EXIT_CODE_DONE && statfs(vc->mount, &st) < 0) {
		(void)errmsg_fail(&err, -errno, EXIT_CODE_FAILED,
				  "volume %s: mounted, but it does not answer: %s", vc->name,
				  errno_text(errno));
		return failed(d, &err);
	}
	if (code != EXIT_CODE_DONE)
		(void)waitpid(child, NULL, 0); /* its message comes first */
	return code;
}

static int run_in_background(struct daemon *d)
{
	struct errmsg err = { 0 };
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		errmsg_next(&err, "try again");
		(void)errmsg_fail(&err, -errno, EXIT_CODE_FAILED, "cannot start the daemon: %s",
				  errno_text(errno));
		return failed(d, &err);
	}
	if (child > 0) {
		close(fds[1]);
		return wait_until_ready(d, fds[0], child);
	}
	close(fds[0]);
	d->ready_fd = fds[1];
	setsid();
	IGNORE_RESULT(chdir("/"), "then that directory stays busy");
	return run_kept(d);
}

int daemon_mount(const struct mount_request *request)
{
	struct daemon d = { .request = request, .ready_fd = -1 };

	return request->foreground ? run_kept(&d) : run_in_background(&d);
}
