/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notify.h"
#include "process.h"
#include "syscall_filter.h"
#include "tdefs/errmsg.h"
#include "tdefs/fs.h"

#define ASKED (STDERR_FILENO + 1)

pid_t keeper_fork(int notify_fd, struct keeper *ret_keeper)
{
	struct keeper k = { .pid = getpid(), .notify_fd = notify_fd };
	int sockets[2];
	pid_t daemon;

	k.highest_node = mmap(NULL, sizeof(*k.highest_node), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k.highest_node == MAP_FAILED)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	daemon = fork();
	if (daemon < 0)
		return -errno;
	k.socket = sockets[daemon == 0];
	close(sockets[daemon != 0]);
	if (daemon == 0 && notify_fd >= 0)
		close(notify_fd);
	*ret_keeper = k;
	return daemon;
}

union descriptor_message {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* With a descriptor: the mount's device, and the number of its connection. Else a text. */
struct message {
	char bytes[KEEPER_TEXT_MAX];
	struct iovec data;
	struct msghdr header;
	union descriptor_message control; /* last: its size varies, as C has it */
};

static void message_init(struct message *m, size_t len)
{
	*m = (struct message){ .data = { m->bytes, len } };
	m->header = (struct msghdr){ .msg_iov = &m->data,
				     .msg_iovlen = 1,
				     .msg_control = m->control.bytes,
				     .msg_controllen = sizeof(m->control.bytes) };
}

int keeper_hand_over(const struct keeper *k, int device_fd, unsigned connection)
{
	struct message m;
	struct cmsghdr *c;

	message_init(&m, sizeof(connection));
	memcpy(m.bytes, &connection, sizeof(connection));
	c = CMSG_FIRSTHDR(&m.header);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &device_fd, sizeof(int));
	return sendmsg(k->socket, &m.header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void keeper_tell(const struct keeper *k, const char *text)
{
	IGNORE_RESULT(send(k->socket, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT),
		      "the next says what is then");
}

/* What the keeper waits for, and what it knows of the mount. */
struct watch {
	const struct keeper *keeper;
	pid_t daemon;
	struct pollfd ended, signal, said, answered;
	int device; /* -1: the daemon has not mounted */
	unsigned connection;
	pid_t asker; /* a child, and how it is asked */
	int ask_fd;
};

/* In a child: once it is asked to, and not if the keeper ends first. */
static void answer_once_asked(int asked, const char *where)
{
	struct statfs st;
	char byte;

	if (dup2(asked, ASKED) < 0 || close_range(ASKED + 1, ~0u, 0) < 0 ||
	    read(ASKED, &byte, 1) != 1 || statfs(where, &st) < 0)
		_exit(EXIT_CODE_FAILED);
	_exit(EXIT_CODE_DONE);
}

/*
 * The mount may not answer for as long as the daemon hangs, and a question to it
 * must not be the keeper's own: that has to go on. Forked while it may fork.
 */
static void start_asker(struct watch *w)
{
	int fds[2];

	if (w->keeper->notify_fd < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return;
	w->asker = fork();
	if (w->asker == 0)
		answer_once_asked(fds[0], w->keeper->where);
	close(fds[0]);
	w->ask_fd = fds[1];
	w->answered.fd = w->asker > 0 ? pidfd_open(w->asker, 0) : -1;
}

static void take_answer(struct watch *w)
{
	int status;

	close(w->answered.fd);
	w->answered.fd = -1;
	if (waitpid(w->asker, &status, 0) == w->asker && status == 0)
		notify_send(w->keeper->notify_fd, "READY=1");
	else
		notify_send(w->keeper->notify_fd, "STATUS=mounted, but it does not answer");
}

static void take_text(struct watch *w, const char *text)
{
	if (w->ask_fd >= 0 && strcmp(text, "READY=1") == 0)
		IGNORE_RESULT(write(w->ask_fd, "", 1), "then it has ended, and tells so");
	else
		notify_send(w->keeper->notify_fd, text);
}

static void take_message(struct watch *w)
{
	const struct cmsghdr *c;
	struct message m;
	ssize_t n;

	message_init(&m, sizeof(m.bytes) - 1);
	n = recvmsg(w->keeper->socket, &m.header, MSG_CMSG_CLOEXEC);
	if (n <= 0) {
		w->said.fd = -1;
		return;
	}
	c = CMSG_FIRSTHDR(&m.header);
	if (!c || c->cmsg_type != SCM_RIGHTS) {
		m.bytes[n] = '\0';
		take_text(w, m.bytes);
		return;
	}
	memcpy(&w->device, CMSG_DATA(c), sizeof(w->device));
	memcpy(&w->connection, m.bytes, sizeof(w->connection));
}

/* Who started us may signal us; the daemon knows what to do. A watchdog's SIGABRT is its end. */
static void pass_on(const struct watch *w)
{
	struct signalfd_siginfo s;

	if (read(w->signal.fd, &s, sizeof(s)) == sizeof(s))
		kill(w->daemon, s.ssi_signo == SIGABRT ? SIGKILL : (int)s.ssi_signo);
}

/* Until the daemon ends, and what it said last. */
static void watch(struct watch *w)
{
	for (;;) {
		struct pollfd fds[] = { w->ended, w->signal, w->said, w->answered };

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[2].revents)
			take_message(w);
		if (fds[1].revents & POLLIN)
			pass_on(w);
		if (fds[3].revents)
			take_answer(w);
		if (fds[0].revents && !fds[2].revents)
			return;
	}
}

/*
 * Free whoever waits for what the daemon never answered (before Linux 6.9 it is
 * not asked again): a descriptor that one of our threads is stuck in would stay
 * open beyond our own end. Whoever waits keeps the mount busy, so that it is
 * aborted and not unmounted. By path, hence only if it is still that mount.
 */
static void abort_mount(const struct keeper *k, unsigned connection)
{
	unsigned now;

	if (fs_connection(k->where, &now) == 0 && now == connection)
		IGNORE_RESULT(umount2(k->where, MNT_FORCE), "EBUSY: it was aborted");
}

/* Privileges that stay are seen by tdefsctl status --security. A filter cannot be: systemd's look the same. */
static int harden(const struct keeper *k)
{
	IGNORE_RESULT(process_drop_keeper_privileges(), "then it keeps them");
	return k->filtered ? syscall_filter_load(SYSCALL_FILTER_KEEPER) : 0;
}

/* The daemon has only just begun. */
static int give_up(pid_t daemon, int error)
{
	fprintf(stderr,
		"tdefs: the keeper cannot filter its system calls: %s\n"
		"  next: where the kernel has no seccomp filters, set seccomp = no\n",
		errno_text(error));
	kill(daemon, SIGKILL);
	while (waitpid(daemon, NULL, 0) < 0 && errno == EINTR)
		;
	return EXIT_CODE_FAILED;
}

/* What the daemon takes itself, and what a watchdog sends. */
static int open_signals(void)
{
	static const int passed_on[] = { SIGTERM, SIGINT, SIGHUP, SIGABRT };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Whoever waits for this process sees what became of the daemon. */
static void end_by(int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	if (signal(number, SIG_DFL) != SIG_ERR || number == SIGKILL)
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	IGNORE_RESULT(raise(number), "then an exit code tells");
}

int keeper_watch(const struct keeper *k, pid_t daemon)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(daemon, 0);
	CLEANUP_CLOSE int signal_fd = -1;
	struct watch w = { .keeper = k, .daemon = daemon, .device = -1, .ask_fd = -1 };
	int status = 0, r;

	process_forget_environment();
	signal_fd = open_signals();
	w.ended = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	w.signal = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
	w.said = (struct pollfd){ .fd = k->socket, .events = POLLIN };
	w.answered = (struct pollfd){ .fd = -1, .events = POLLIN };
	start_asker(&w);
	r = harden(k);
	if (r < 0)
		return give_up(daemon, r);
	if (pidfd >= 0) /* else there is nothing to wait for but its end */
		watch(&w);
	if (w.device >= 0 && !fs_evict(w.device, atomic_load(k->highest_node)))
		abort_mount(k, w.connection);
	while (waitpid(daemon, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		end_by(WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_FAILED;
}
