/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "syscall_filter.h"
#include "tdefs/errmsg.h"
#include "tdefs/fs.h"

pid_t keeper_fork(struct keeper *ret_keeper)
{
	struct keeper k = { .pid = getpid() };
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
	*ret_keeper = k;
	return daemon;
}

union descriptor_message {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* What is handed over: a descriptor, and the number of its connection. */
struct handover {
	unsigned connection;
	struct iovec data;
	struct msghdr message;
	union descriptor_message control; /* last: its size varies, as C has it */
};

static void handover_init(struct handover *h)
{
	*h = (struct handover){ .data = { &h->connection, sizeof(h->connection) } };
	h->message = (struct msghdr){ .msg_iov = &h->data,
				      .msg_iovlen = 1,
				      .msg_control = h->control.bytes,
				      .msg_controllen = sizeof(h->control.bytes) };
}

int keeper_hand_over(const struct keeper *k, int device_fd, unsigned connection)
{
	struct handover h;
	struct cmsghdr *c;

	handover_init(&h);
	h.connection = connection;
	c = CMSG_FIRSTHDR(&h.message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &device_fd, sizeof(int));
	return sendmsg(k->socket, &h.message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The mount, as the keeper knows it; fd -1: the daemon ended without one. */
struct device {
	int fd;
	unsigned connection;
};

static struct device take_device(int socket)
{
	struct device device = { .fd = -1 };
	const struct cmsghdr *c;
	struct handover h;

	handover_init(&h);
	if (recvmsg(socket, &h.message, MSG_CMSG_CLOEXEC) <= 0)
		return device;
	c = CMSG_FIRSTHDR(&h.message);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&device.fd, CMSG_DATA(c), sizeof(device.fd));
	device.connection = h.connection;
	return device;
}

/* Who started us may signal us; the daemon knows what to do. */
static void pass_on(int signal_fd, pid_t daemon)
{
	struct signalfd_siginfo s;

	if (read(signal_fd, &s, sizeof(s)) == sizeof(s))
		kill(daemon, (int)s.ssi_signo);
}

/* Until the daemon ends; the device that it handed over by then. */
static struct device watch(int socket, int pidfd, int signal_fd, pid_t daemon)
{
	struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN },
				{ .fd = signal_fd, .events = POLLIN },
				{ .fd = socket, .events = POLLIN } };
	struct device device = { .fd = -1 };

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return device;
		if (fds[2].revents) {
			device = take_device(socket);
			fds[2].fd = -1;
		}
		if (fds[1].revents & POLLIN)
			pass_on(signal_fd, daemon);
		if (fds[0].revents)
			return device;
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

/* What cannot be had is seen by tdefsctl status --security; pages are dropped all the same. */
static void harden(const struct keeper *k)
{
	IGNORE_RESULT(process_drop_keeper_privileges(), "then it keeps them");
	if (k->filtered)
		IGNORE_RESULT(syscall_filter_load(SYSCALL_FILTER_KEEPER), "then it is not");
}

int keeper_watch(const struct keeper *k, pid_t daemon)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(daemon, 0);
	CLEANUP_CLOSE int signal_fd = -1;
	struct device device = { .fd = -1 };
	sigset_t set;
	int status = 0;

	process_forget_environment();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	harden(k);
	if (pidfd >= 0) /* else there is nothing to wait for but its end */
		device = watch(k->socket, pidfd, signal_fd, daemon);
	if (device.fd >= 0 && !fs_evict(device.fd, atomic_load(k->highest_node)))
		abort_mount(k, device.connection);
	while (waitpid(daemon, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_FAILED;
}
