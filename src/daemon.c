/* SPDX-License-Identifier: Apache-2.0 */
/* The mount daemon's process. What it serves is src/fs's and src/volume's. */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process.h"
#include "tdefs/control.h"
#include "tdefs/fs.h"
#include "tdefs/log.h"
#include "tdefs/secret.h"
#include "tdefs/vault.h"
#include "tdefs/volume.h"

#define STOP_SIGNAL_THREAD SIGUSR1

struct daemon {
	const struct mount_request *request;
	int ready_fd; /* pipe to the waiting parent; -1 in the foreground */
	char *where;  /* the mount point, resolved */
	struct volume *volume;
	struct fs *fs;
	struct control_context control_context;
	struct control_server *control;
	pthread_t signal_thread;
	atomic_bool ended; /* set before STOP_SIGNAL_THREAD */
};

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

/* Tell the parent that waits in daemon_mount(): an exit code, once. */
static void tell_parent(struct daemon *d, enum exit_code code)
{
	uint8_t byte = (uint8_t)code;

	if (d->ready_fd < 0)
		return;
	IGNORE_RESULT(write(d->ready_fd, &byte, 1), "the parent may have been interrupted");
	close(d->ready_fd);
	d->ready_fd = -1;
}

/* Let go of the terminal: whoever waits for our output must see its end. */
static void detach_output(void)
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

	log_info("volume %s: online at %s (tdefs %s, libfuse %s, cache %s)",
		 d->request->volume->name, d->request->volume->mount, TDEFS_VERSION,
		 fs_library_version(), cache_mode_name(d->request->volume->settings.cache));
	if (d->ready_fd >= 0)
		detach_output();
	tell_parent(d, EXIT_CODE_DONE);
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
	sigaddset(&set, STOP_SIGNAL_THREAD);
	while (sigwait(&set, &signal) == 0 && !atomic_load(&d->ended)) {
		struct errmsg err = { 0 };

		if (signal == STOP_SIGNAL_THREAD) /* somebody else's */
			continue;
		/* Never by force: an engine may be at work. */
		if (mount_remove(name, d->where, &err) < 0)
			log_warning("signal %d: %s", signal, err.text);
	}
	return NULL;
}

static int drop_capabilities(struct errmsg *reterr)
{
	int r = process_drop_capabilities();

	if (r == 0)
		return 0;
	errmsg_next(reterr, "see what restricts this process (seccomp, LSM)");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot drop capabilities: %s",
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

static int open_volume(struct daemon *d, struct errmsg *reterr)
{
	const struct mount_request *request = d->request;
	const struct volume_options options = { .sys = &sysio_kernel,
						.accept_header = request->accept_header };
	int r = mountpoint_check(request->volume, reterr);

	if (r < 0)
		return r;
	d->where = mount_resolve(request->volume->mount);
	if (!d->where)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	return volume_open(request->config, request->volume, &options, &d->volume, reterr);
}

static int start_control(struct daemon *d, struct errmsg *reterr)
{
	d->control_context = (struct control_context){ .volume = d->volume,
						       .libfuse = fs_library_version(),
						       .mounted_at = (int64_t)time(NULL) };
	return control_start(&d->control_context, d->request->config->runtime_dir, &d->control,
			     reterr);
}

static int mount_fs(struct daemon *d, struct errmsg *reterr)
{
	const struct fs_options options = { .volume = d->volume,
					    .ready = on_ready,
					    .ready_arg = d };
	const char *name = d->request->volume->name;
	int r = loss_forget(d->request->config, name);

	if (r < 0)
		log_warning("volume %s: cannot remove an old note of a loss: %s", name,
			    errno_text(r));
	return fs_mount(&options, &d->fs, reterr);
}

static int start(struct daemon *d, struct errmsg *reterr)
{
	int r = open_log(d->request, reterr);

	if (r == 0)
		r = drop_capabilities(reterr);
	if (r == 0)
		r = lock_memory(d->request->volume, reterr);
	if (r == 0)
		r = init_vaults(reterr);
	if (r == 0)
		r = open_volume(d, reterr);
	if (r == 0)
		r = start_control(d, reterr);
	return r < 0 ? r : mount_fs(d, reterr);
}

/* Everything durable and closed, in the reverse order of start(). */
static int finish(struct daemon *d)
{
	const char *name = d->request->volume->name;
	int r = 0;

	fs_free(d->fs);
	control_stop(d->control);
	if (d->volume)
		r = volume_close(d->volume);
	free(d->where);
	if (r < 0)
		log_error("volume %s: some data could not be written: %s", name, errno_text(r));
	return r;
}

/* Nobody reads an exit code of a daemon: tdefs unmount reads this. */
static void leave_word(const struct daemon *d, int error)
{
	const char *name = d->request->volume->name;
	int r = loss_note(d->request->config, name, error);

	if (r < 0)
		log_error("volume %s: cannot leave word of it: %s", name, errno_text(r));
}

static int serve(struct daemon *d)
{
	const char *name = d->request->volume->name;
	int r;

	if (pthread_create(&d->signal_thread, NULL, signal_loop, d) != 0) {
		log_error("volume %s: cannot start a thread", name);
		return -EAGAIN;
	}
	r = fs_serve(d->fs);
	atomic_store(&d->ended, true);
	pthread_kill(d->signal_thread, STOP_SIGNAL_THREAD);
	pthread_join(d->signal_thread, NULL);
	if (r < 0)
		log_error("volume %s: the session ended: %s", name, errno_text(r));
	return r;
}

static int run(struct daemon *d)
{
	struct errmsg err = { 0 };
	int r, closed;

	process_block_signals();
	process_raise_limits();
	r = start(d, &err);
	if (r < 0) {
		IGNORE_RESULT(finish(d), "nothing was written yet");
		tell_parent(d, err.exit_code);
		text_escape_message(&err);
		return errmsg_print(&err, "tdefs");
	}
	r = serve(d);
	closed = finish(d);
	if (closed < 0)
		leave_word(d, closed);
	log_info("volume %s: unmounted", d->request->volume->name);
	return r < 0 || closed < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

/* In the parent: what the child says, or what its silence means. */
static int wait_until_ready(int fd, pid_t child, const struct volume_config *vc)
{
	uint8_t code;
	struct statfs st;
	ssize_t n;

	do
		n = read(fd, &code, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1) {
		fprintf(stderr,
			"tdefs: volume %s: the daemon (process %d) ended without a word\n"
			"  next: see the system log\n",
			vc->name, (int)child);
		return EXIT_CODE_FAILED;
	}
	/* It has begun to answer the kernel: one question more, and its answer is the proof. */
	if (code == EXIT_CODE_DONE && statfs(vc->mount, &st) < 0) {
		fprintf(stderr,
			"tdefs: volume %s: mounted, but it does not answer: %s\n"
			"  next: see the system log\n",
			vc->name, errno_text(errno));
		return EXIT_CODE_FAILED;
	}
	if (code != EXIT_CODE_DONE)
		(void)waitpid(child, NULL, 0); /* its message comes first */
	return code;
}

static int run_in_background(struct daemon *d)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		fprintf(stderr, "tdefs: cannot start the daemon: %s\n  next: try again\n",
			errno_text(errno));
		return EXIT_CODE_FAILED;
	}
	if (child > 0) {
		close(fds[1]);
		return wait_until_ready(fds[0], child, d->request->volume);
	}
	close(fds[0]);
	d->ready_fd = fds[1];
	setsid();
	IGNORE_RESULT(chdir("/"), "then that directory stays busy");
	return run(d);
}

int daemon_mount(const struct mount_request *request)
{
	struct daemon d = { .request = request, .ready_fd = -1 };

	return request->foreground ? run(&d) : run_in_background(&d);
}
