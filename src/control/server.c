/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket and its thread: of each connection one request, one answer. Whoever
 * connects and says nothing holds nobody up; without room for another, those that
 * are not root's go first, so that the group cannot keep root from a lock.
 */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "socket.h"
#include "tdefs/clock.h"

#define PEERS_MAX	32
#define ACCEPT_PAUSE_MS 100

/* A connection whose request is not whole yet. */
struct peer {
	int fd;
	uid_t uid;
	uint64_t until_ms; /* then it is let go */
	char *request;	   /* CONTROL_REQUEST_MAX */
	size_t len;
};

/* Oldest first. */
struct peers {
	struct peer at[PEERS_MAX];
	size_t n;
};

struct control_server {
	const struct control_context *context;
	struct sockaddr_un address;
	int listen_fd;
	int stop_fd; /* eventfd */
	pthread_t thread;
};

static void let_go(struct peers *p, size_t i)
{
	close(p->at[i].fd);
	free(p->at[i].request);
	p->n--;
	memmove(&p->at[i], &p->at[i + 1], (p->n - i) * sizeof(p->at[0]));
}

/* The oldest that is not root's; else the oldest. */
static size_t least_of(const struct peers *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].uid != 0)
			return i;
	return 0;
}

/* Takes over `fd`. */
static void take_in(struct peers *p, int fd)
{
	struct peer peer = { .fd = fd,
			     .until_ms =
				     clock_kernel.boot_ms() + (uint64_t)CONTROL_SERVE_S * 1000 };
	struct ucred who;
	socklen_t len = sizeof(who);

	peer.request = malloc(CONTROL_REQUEST_MAX);
	if (!peer.request || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) {
		free(peer.request);
		close(fd);
		return;
	}
	peer.uid = who.uid;
	if (p->n == PEERS_MAX)
		let_go(p, least_of(p));
	p->at[p->n++] = peer;
}

/* What it has sent so far; true: more is to come. */
static bool hear(const struct control_server *s, struct peer *peer)
{
	const struct control_link l = control_link(peer->fd, s->stop_fd, CONTROL_SERVE_S);
	char *from = peer->request + peer->len, *end;
	ssize_t n = recv(peer->fd, from, CONTROL_REQUEST_MAX - peer->len, MSG_DONTWAIT);
	CLEANUP_FREE char *answer = NULL;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	peer->len += (size_t)n;
	end = memchr(from, '\n', (size_t)n);
	if (!end)
		return n > 0 && peer->len < CONTROL_REQUEST_MAX;
	answer =
		control_answer(s->context, peer->request, (size_t)(end - peer->request), peer->uid);
	if (answer)
		IGNORE_RESULT(control_write_line(&l, answer), "the peer may be gone");
	return false;
}

/* From the youngest on: those that are let go move no other that is still to be looked at. */
static void hear_all(const struct control_server *s, struct peers *p, const struct pollfd *fds)
{
	const uint64_t now_ms = clock_kernel.boot_ms();

	for (size_t i = p->n; i-- > 0;)
		if (fds[i].revents ? !hear(s, &p->at[i]) : now_ms >= p->at[i].until_ms)
			let_go(p, i);
}

/* Out of descriptors or memory: the peer stays in the queue, which must not be asked at once. */
static void pause_accepting(const struct control_server *s)
{
	struct pollfd stop = { .fd = s->stop_fd, .events = POLLIN };

	IGNORE_RESULT(poll(&stop, 1, ACCEPT_PAUSE_MS), "the loop looks at it again");
}

static void accept_one(const struct control_server *s, struct peers *p)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		take_in(p, fd);
	else if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED)
		pause_accepting(s);
}

/* Until somebody connects, speaks, or has had its time. False: it is the end. */
static bool wait_for_peers(const struct control_server *s, const struct peers *p,
			   struct pollfd fds[static 2 + PEERS_MAX])
{
	uint64_t now_ms = clock_kernel.boot_ms();
	int wait_ms = -1;

	fds[0] = (struct pollfd){ .fd = s->listen_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = s->stop_fd, .events = POLLIN };
	for (size_t i = 0; i < p->n; i++)
		fds[2 + i] = (struct pollfd){ .fd = p->at[i].fd, .events = POLLIN };
	if (p->n > 0) /* the oldest's comes first */
		wait_ms = p->at[0].until_ms > now_ms ? (int)(p->at[0].until_ms - now_ms) : 0;
	if (poll(fds, 2 + p->n, wait_ms) < 0) {
		memset(fds, 0, sizeof(*fds) * (2 + p->n));
		return errno == EINTR;
	}
	return !fds[1].revents;
}

static void *serve_loop(void *arg)
{
	const struct control_server *s = arg;
	struct pollfd fds[2 + PEERS_MAX];
	struct peers p = { .n = 0 };

	while (wait_for_peers(s, &p, fds)) {
		hear_all(s, &p, fds + 2);
		if (fds[0].revents & POLLIN)
			accept_one(s, &p);
	}
	while (p.n > 0)
		let_go(&p, 0);
	return NULL;
}

/* Mode and group are set before anyone can connect: listen(2) comes after. */
static int bind_socket(const struct control_server *s)
{
	const struct group *group = getgrnam(CONTROL_GROUP);

	if (unlink(s->address.sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(s->listen_fd, (const struct sockaddr *)&s->address, sizeof(s->address)) < 0 ||
	    chown(s->address.sun_path, 0, group ? group->gr_gid : 0) < 0 ||
	    chmod(s->address.sun_path, 0660) < 0 || listen(s->listen_fd, 16) < 0)
		return -errno;
	return 0;
}

static int start(struct control_server *s, const char *runtime_dir, const char *volume)
{
	int r;

	if (mkdir(runtime_dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = control_address(runtime_dir, volume, &s->address);
	if (r < 0)
		return r;
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (s->listen_fd < 0 || s->stop_fd < 0)
		return -errno;
	r = bind_socket(s);
	if (r < 0)
		return r;
	return -pthread_create(&s->thread, NULL, serve_loop, s);
}

static void server_free(struct control_server *s)
{
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	free(s);
}

int control_start(const struct control_context *context, const char *runtime_dir,
		  struct control_server **ret_server, struct errmsg *reterr)
{
	const char *volume = volume_config(context->volume)->name;
	struct control_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	s->context = context;
	s->listen_fd = s->stop_fd = -1;
	r = start(s, runtime_dir, volume);
	if (r < 0) {
		server_free(s);
		errmsg_next(reterr,
			    "make %s writable for root, or set \"runtime_dir\" to a short path",
			    runtime_dir);
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
				   "volume %s: cannot make its control socket in %s: %s", volume,
				   runtime_dir, errno_text(r));
	}
	*ret_server = s;
	return 0;
}

void control_stop(struct control_server *s)
{
	const uint64_t one = 1;

	if (!s)
		return;
	IGNORE_RESULT(write(s->stop_fd, &one, sizeof(one)), "an eventfd takes it");
	pthread_join(s->thread, NULL);
	unlink(s->address.sun_path);
	server_free(s);
}
