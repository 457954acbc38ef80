/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket: a connection, one request, one answer, each in a thread of its own.
 * Root's have places of their own: neither the group's members nor a request
 * that hangs with a disk keeps root from locking a volume.
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
#include "tdefs/threads.h"

struct control_server {
	const struct control_context *context;
	struct sockaddr_un address;
	int listen_fd;
	int stop_fd; /* eventfd */
	pthread_t thread;

	pthread_mutex_t lock; /* guards what follows; innermost */
	pthread_cond_t left;
	unsigned serving[2]; /* connections of the group's members, and of root */
};

/* A connection and its thread, which owns it. */
struct connection {
	struct control_server *server;
	int fd;
	uid_t uid;
};

#define ACCEPT_PAUSE_MS 100
#define SERVE_MOST	8 /* connections at once, of root and of all others each */

static void serve(const struct connection *c)
{
	const struct control_link l = control_link(c->fd, c->server->stop_fd, CONTROL_SERVE_S);
	CLEANUP_FREE char *request = malloc(CONTROL_REQUEST_MAX);
	CLEANUP_FREE char *answer = NULL;
	ssize_t n = request ? control_read_line(&l, request, CONTROL_REQUEST_MAX) : -ENOMEM;

	if (n < 0)
		return;
	answer = control_answer(c->server->context, request, (size_t)n, c->uid);
	if (answer)
		IGNORE_RESULT(control_write_line(&l, answer), "the peer may be gone");
}

static bool take_place(struct control_server *s, uid_t uid)
{
	LOCK_SCOPE(&s->lock);

	if (s->serving[uid == 0] == SERVE_MOST)
		return false;
	s->serving[uid == 0]++;
	return true;
}

static void leave_place(struct control_server *s, uid_t uid)
{
	LOCK_SCOPE(&s->lock);

	s->serving[uid == 0]--;
	pthread_cond_signal(&s->left);
}

static void *serve_connection(void *arg)
{
	struct connection *c = arg;
	struct control_server *s = c->server;
	uid_t uid = c->uid;

	serve(c);
	close(c->fd);
	free(c);
	leave_place(s, uid);
	return NULL;
}

/* False: there is no place, or no memory, for it; it is closed. */
static bool welcome(struct control_server *s, int fd)
{
	struct connection *c = malloc(sizeof(*c));
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (c && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	    take_place(s, peer.uid)) {
		*c = (struct connection){ .server = s, .fd = fd, .uid = peer.uid };
		if (thread_start_detached(serve_connection, c) == 0)
			return true;
		leave_place(s, peer.uid);
	}
	free(c);
	close(fd);
	return false;
}

/* Out of descriptors or memory: the peer stays in the queue, which must not be asked at once. */
static void pause_accepting(const struct control_server *s)
{
	struct pollfd stop = { .fd = s->stop_fd, .events = POLLIN };

	IGNORE_RESULT(poll(&stop, 1, ACCEPT_PAUSE_MS), "the loop looks at it again");
}

static void *serve_loop(void *arg)
{
	struct control_server *s = arg;
	struct pollfd fds[] = { { .fd = s->listen_fd, .events = POLLIN },
				{ .fd = s->stop_fd, .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		if (!(fds[0].revents & POLLIN))
			continue;
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			IGNORE_RESULT(welcome(s, fd), "the peer sees that it is closed");
		else if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED)
			pause_accepting(s);
	}
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
	pthread_cond_destroy(&s->left);
	pthread_mutex_destroy(&s->lock);
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
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->left, NULL);
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
	{
		LOCK_SCOPE(&s->lock);
		while (s->serving[0] || s->serving[1])
			pthread_cond_wait(&s->left, &s->lock);
	}
	unlink(s->address.sun_path);
	server_free(s);
}
