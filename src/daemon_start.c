/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's start, in its order, and its end, in the reverse one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon_internal.h"
#include "process.h"
#include "syscall_filter.h"
#include "tdefs/log.h"
#include "tdefs/metrics_server.h"
#include "tdefs/secret.h"
#include "tdefs/vault.h"
#include "tdefs/volume_copy.h"
#include "tdefs/volume_event.h"

#define SAY_WAITING_AFTER_MS 3000u

static int lock_memory(const struct volume_config *vc, struct errmsg *reterr)
{
	secret_lock_memory(vc->settings.lock_memory);
	if (!vc->settings.lock_memory || mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
		return 0;
	errmsg_next(reterr, "raise RLIMIT_MEMLOCK; or, where memory cannot be locked and swap is "
			    "encrypted or off, set lock_memory = no");
	return errmsg_fail(reterr, -errno, EXIT_CODE_FAILED, "volume %s: cannot lock memory: %s",
			   vc->name, errno_text(errno));
}

static int open_log(const struct mount_request *request, struct errmsg *reterr)
{
	const char *target = request->volume->settings.log;
	int r;

	if (!target)
		target = request->foreground ? "stderr" : "syslog";
	r = log_open(target);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "correct \"log\", or make its directory");
	return errmsg_fail(reterr, r, EXIT_CODE_CONFIG, "cannot open log %s: %s", target,
			   errno_text(r));
}

void daemon_detach_output(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		IGNORE_RESULT(dup2(fd, i), "then the old one stays");
	close(fd);
}

static void on_ready(void *arg)
{
	struct daemon *d = arg;

	atomic_store(&d->mounted, true);
	atomic_store(&d->control_context.mounted_at, (int64_t)time(NULL));
	volume_event_mounted(d->volume);
	log_info("volume %s: mounted at %s (tdefs %s, libfuse %s, cache %s)",
		 d->request->volume->name, d->request->volume->mount, TDEFS_VERSION,
		 fs_library_version(), cache_mode_name(d->request->volume->settings.cache));
	if (d->ready_fd >= 0)
		daemon_detach_output();
	daemon_tell_parent(d, EXIT_CODE_DONE);
	daemon_notify_ready(d);
	if (guard_runner_is_cancelled(volume_guard(d->volume))) /* a signal that came too early */
		kill(getpid(), SIGTERM);
}

static int drop_privileges(struct errmsg *reterr)
{
	int r = process_drop_privileges();

	if (r == 0)
		return 0;
	errmsg_next(reterr, "see what restricts this process (seccomp, LSM)");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot drop privileges: %s",
			   errno_text(r));
}

static enum syscall_filter first_filter(const struct volume_config *vc)
{
	return vc->settings.io_uring == IO_URING_NO ? SYSCALL_FILTER_DAEMON
						    : SYSCALL_FILTER_IO_URING;
}

/* Before there is a thread, a key, or a byte of anybody's; once more when there is a mount. */
static int filter_syscalls(const struct volume_config *vc, enum syscall_filter which,
			   struct errmsg *reterr)
{
	int r = vc->settings.seccomp ? syscall_filter_load(which) : 0;

	if (r == 0)
		return 0;
	errmsg_next(reterr, "where the kernel has no seccomp filters, set seccomp = no");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "volume %s: cannot filter its system calls: %s", vc->name,
			   errno_text(r));
}

/* After the fork: secret memory, in which those of the environment are kept, is gone in a child. */
static int init_vaults(struct errmsg *reterr)
{
	int r = vault_init();

	if (r == 0)
		return 0;
	errmsg_next(reterr, "check the installation of libcurl");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot set up libcurl");
}

/* Beneath the mount, and before it: no engine may begin anew there, in plaintext. */
static int close_mountpoint(const struct daemon *d, struct errmsg *reterr)
{
	int r = chmod(d->where, 0) < 0 ? -errno : 0;

	if (r == 0)
		return 0;
	errmsg_next(reterr, "put the mount point on a file system that can be written");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "volume %s: cannot set the mode of its mount point %s to 0000: %s",
			   d->request->volume->name, d->where, errno_text(r));
}

static int renew_uuid(const struct daemon *d, struct errmsg *reterr)
{
	const struct mount_request *request = d->request;
	const struct vault_watch watch = { .volume = request->volume->name,
					   .audit = d->audit,
					   .by = "new_uuid" };

	return volume_renew_uuid(&sysio_kernel, request->config, request->volume, &watch,
				 request->accept_header, reterr);
}

static int open_volume(struct daemon *d, struct errmsg *reterr)
{
	const struct mount_request *request = d->request;
	const struct volume_options options = { .sys = &sysio_kernel,
						.audit = d->audit,
						.reloader = { daemon_reload_outlets, d },
						.accept_header = request->accept_header,
						.highest_node = d->keeper.highest_node };
	int r = mountpoint_check(request->volume, reterr);

	if (r < 0)
		return r;
	d->where = mount_resolve(request->volume->mount);
	if (!d->where)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	if (request->new_uuid)
		r = renew_uuid(d, reterr);
	if (r == 0)
		r = volume_open(request->config, request->volume, &options, &d->volume, reterr);
	return r < 0 ? r : close_mountpoint(d, reterr);
}

static int start_control(struct daemon *d, struct errmsg *reterr)
{
	const char *listen = d->request->volume->settings.metrics_listen;

	d->control_context = (struct control_context){ .volume = d->volume,
						       .libfuse = fs_library_version(),
						       .hook = d->hook,
						       .webhook = d->webhook,
						       .keeper = d->keeper.pid };
	if (listen && listen[0])
		metrics_server_start(&d->control_context, listen);
	return control_start(&d->control_context, d->request->config->runtime_dir, &d->control,
			     reterr);
}

static int hand_over(const struct daemon *d, struct errmsg *reterr)
{
	unsigned connection;
	int r = fs_connection(d->where, &connection);

	if (r == 0)
		r = keeper_hand_over(&d->keeper, fs_device(d->fs), connection);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "try again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "volume %s: cannot hand the mount to its keeper: %s",
			   d->request->volume->name, errno_text(r));
}

static int mount_fs(struct daemon *d, struct errmsg *reterr)
{
	const struct fs_options options = { .volume = d->volume,
					    .ready = on_ready,
					    .ready_arg = d,
					    .transport = &d->control_context.transport };
	const char *name = d->request->volume->name;
	int r = loss_forget(d->request->config, name);

	if (r < 0)
		log_warning("volume %s: cannot remove an old note of a loss: %s", name,
			    errno_text(r));
	r = fs_mount(&options, &d->fs, reterr);
	if (r == 0)
		r = hand_over(d, reterr);
	return r < 0 ? r : filter_syscalls(d->request->volume, SYSCALL_FILTER_MOUNTED, reterr);
}

/* Somebody waits at a terminal: say for what, once it takes longer. */
static void say_waiting(const struct daemon *d, const struct guard_view *view, uint64_t timeout_ms)
{
	fprintf(stderr, "tdefs: volume %s: waiting for its vault%s%s\n", d->request->volume->name,
		view->answered ? ": " : "", view->answered ? view->report.error.text : "");
	if (timeout_ms)
		fprintf(stderr, "  next: nothing; it gives up after %llu s (mount_timeout)\n",
			(unsigned long long)timeout_ms / 1000);
}

static int not_in_time(const struct daemon *d, const struct guard_view *view, struct errmsg *reterr)
{
	const char *name = d->request->volume->name;

	if (view->answered) {
		errmsg_next(reterr, "%s", view->report.error.next);
		return errmsg_fail(reterr, -ENOKEY, EXIT_CODE_WAITING,
				   "volume %s: not mounted: its vault is unreachable: %s", name,
				   view->report.error.text);
	}
	errmsg_next(reterr, "see the vault and the way to it; mount_timeout says how long to wait");
	return errmsg_fail(reterr, -ENOKEY, EXIT_CODE_WAITING,
			   "volume %s: not mounted: its vault has not answered", name);
}

/* Mounted all the same: a bare directory would invite an engine to begin anew, in plaintext. */
static void say_inaccessible(const struct daemon *d, const struct guard_view *view)
{
	const char *name = d->request->volume->name;
	char reasons[64], next[CONTROL_NEXT_STEP_MAX];
	struct volume_header header;

	volume_header(d->volume, &header);
	control_next_step(view, d->request->volume, volume_header_active_slot(&header)->kid, next,
			  sizeof(next));
	fprintf(stderr, "tdefs: volume %s: mounted, but inaccessible (%s)%s%s\n  next: %s\n", name,
		guard_reasons_text(view->guard.reasons, reasons, sizeof(reasons)),
		view->answered ? ": " : "", view->answered ? view->report.error.text : "", next);
}

/* Until the vault has given the DEK, or has refused it, or mount_timeout is over. */
static int wait_for_key(struct daemon *d, struct errmsg *reterr)
{
	const uint64_t timeout_ms =
		d->request->wait ? 0 : d->request->volume->settings.mount_timeout_ms;
	struct guard_runner *guard = volume_guard(d->volume);
	const bool long_wait = timeout_ms == 0 || timeout_ms > SAY_WAITING_AFTER_MS;
	enum guard_state state =
		guard_runner_wait(guard, long_wait ? SAY_WAITING_AFTER_MS : timeout_ms);
	struct guard_view view;

	guard_runner_view(guard, &view);
	if (state < GUARD_FAILED && long_wait) {
		say_waiting(d, &view, timeout_ms);
		state = guard_runner_wait(guard,
					  timeout_ms ? timeout_ms - SAY_WAITING_AFTER_MS : 0);
		guard_runner_view(guard, &view);
	}
	if (state == GUARD_FAILED) {
		*reterr = view.report.error;
		return -EKEYREJECTED;
	}
	if (state < GUARD_FAILED)
		return not_in_time(d, &view, reterr);
	if (state == GUARD_INACCESSIBLE)
		say_inaccessible(d, &view);
	return 0;
}

static int start_signals(struct daemon *d, struct errmsg *reterr)
{
	int r = daemon_start_signals(d);

	if (r == 0)
		return 0;
	errmsg_next(reterr, "free memory or raise the limit of threads, then try again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot start a thread: %s", errno_text(r));
}

/* No earlier: who forks a helper must have no thread yet. */
static int start_log(struct errmsg *reterr)
{
	int r = log_start();

	if (r == 0)
		return 0;
	errmsg_next(reterr, "free memory or raise the limit of threads, then try again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot start a thread: %s", errno_text(r));
}

/* The socket answers before the mount does. */
static int start_guard(struct daemon *d, struct errmsg *reterr)
{
	int r = start_log(reterr);

	if (r == 0)
		r = volume_start(d->volume, reterr);
	if (r == 0)
		r = start_control(d, reterr);
	if (r == 0)
		r = start_signals(d, reterr);
	if (r == 0)
		daemon_notify_start(d);
	return r < 0 ? r : wait_for_key(d, reterr);
}

int daemon_start(struct daemon *d, struct errmsg *reterr)
{
	int r = open_log(d->request, reterr);

	if (r == 0)
		r = daemon_fork_hook(d, reterr);
	if (r == 0)
		r = drop_privileges(reterr);
	if (r == 0)
		r = lock_memory(d->request->volume, reterr);
	if (r == 0)
		r = filter_syscalls(d->request->volume, first_filter(d->request->volume), reterr);
	if (r == 0)
		r = init_vaults(reterr);
	if (r == 0)
		r = daemon_open_outlets(d, reterr);
	if (r == 0)
		r = daemon_open_events(d, reterr);
	if (r == 0)
		r = open_volume(d, reterr);
	if (r == 0)
		r = start_guard(d, reterr);
	return r < 0 ? r : mount_fs(d, reterr);
}

int daemon_finish(struct daemon *d)
{
	const char *name = d->request->volume->name;
	int r = 0;

	daemon_notify_stopping(d);
	daemon_stop_signals(d);
	control_stop(d->control);
	metrics_server_stop(d->control_context.metrics);
	if (d->volume)
		d->left_behind =
			!volume_stop(d->volume); /* before the mount whose pages it drops */
	fs_free(d->fs);
	if (d->volume)
		r = volume_close(d->volume);
	daemon_close_events(d); /* the last: it tells of the unmount, too */
	free(d->where);
	free(d->told);
	if (r < 0)
		log_error("volume %s: some data could not be written: %s", name, errno_text(r));
	return r;
}
