/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. One command at a time; what it leaves running in its group is ended with it. */
#include "hook_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "tdefs/hook_link.h"

#define LINK	    (STDERR_FILENO + 1)
#define OPEN_FILES  1024
#define NOEXEC_SEAL 8u /* MFD_NOEXEC_SEAL, which older headers lack */

static char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct user {
	char *name;
	uid_t uid;
	gid_t gid;
};

/* Nothing open but /dev/null, thrice, and the link. */
static int keep_link_only(int link)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	if (link != LINK && dup3(link, LINK, O_CLOEXEC) < 0)
		return -errno;
	return close_range(LINK + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* For good. It keeps the right to end what its commands become (sudo), for itself only. */
static int become(const struct user *user)
{
	const struct rlimit files = { OPEN_FILES, OPEN_FILES };

	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || initgroups(user->name, user->gid) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    setrlimit(RLIMIT_NOFILE, &files) < 0 || chdir("/") < 0)
		return -errno;
	umask(077);
	return process_keep_kill_capability();
}

/* `words` is taken apart. */
static int split(char *words, char *argv[static HOOK_WORDS_MAX + 1])
{
	size_t n = 0;
	char *rest;

	for (char *word = strtok_r(words, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest)) {
		if (n == HOOK_WORDS_MAX)
			return -E2BIG;
		argv[n++] = word;
	}
	argv[n] = NULL;
	return n > 0 ? 0 : -EINVAL;
}

/* A file in memory, so that a command which does not read holds nobody up. */
static int open_input(const char *line, size_t len)
{
	CLEANUP_CLOSE int fd = memfd_create("event", MFD_CLOEXEC | NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("event", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, line, len, 0) != (ssize_t)len || pwrite(fd, "\n", 1, (off_t)len) != 1)
		return -EIO;
	return TAKE_FD(fd);
}

static void execute(char *argv[], int input, int failure)
{
	char *const environment[] = { path_variable, NULL };
	sigset_t none;
	int error;

	sigemptyset(&none);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(input, STDIN_FILENO) >= 0 && signal(SIGXFSZ, SIG_DFL) != SIG_ERR &&
	    sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		execve(argv[0], argv, environment);
	error = -errno;
	IGNORE_RESULT(write(failure, &error, sizeof(error)), "then its exit status tells");
	_exit(127);
}

/* Wait for its end, or end it; and in any case all of its group, while its id is still taken. */
static struct hook_answer finish(pid_t child)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(child, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	bool ended;
	int status = 0;

	ended = pidfd >= 0 && poll(&p, 1, HOOK_RUN_MS) > 0;
	kill(-child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		return (struct hook_answer){ HOOK_TIMED_OUT, 0 };
	if (WIFSIGNALED(status))
		return (struct hook_answer){ HOOK_SIGNALLED, WTERMSIG(status) };
	return (struct hook_answer){ HOOK_EXITED, WEXITSTATUS(status) };
}

static struct hook_answer run(char *argv[], int input)
{
	struct hook_answer answer;
	int failure[2], error;
	pid_t child;

	if (pipe2(failure, O_CLOEXEC | O_NONBLOCK) < 0)
		return (struct hook_answer){ HOOK_NOT_RUN, -errno };
	child = fork();
	if (child == 0)
		execute(argv, input, failure[1]);
	error = -errno;
	close(failure[1]);
	if (child < 0) {
		answer = (struct hook_answer){ HOOK_NOT_RUN, error };
	} else {
		setpgid(child, child); /* whoever of both comes first */
		answer = finish(child);
		if (read(failure[0], &error, sizeof(error)) == sizeof(error))
			answer = (struct hook_answer){ HOOK_NOT_RUN, error };
	}
	close(failure[0]);
	return answer;
}

/* A job: words, a zero byte, a line. */
static struct hook_answer do_job(char *job, size_t len)
{
	char *argv[HOOK_WORDS_MAX + 1];
	size_t words = strnlen(job, len) + 1;
	CLEANUP_CLOSE int input = -1;
	int r;

	if (words > len)
		return (struct hook_answer){ HOOK_NOT_RUN, -EINVAL };
	input = open_input(job + words, len - words);
	r = input < 0 ? input : split(job, argv);
	return r < 0 ? (struct hook_answer){ HOOK_NOT_RUN, r } : run(argv, input);
}

static bool answer(const struct hook_answer *a)
{
	return send(LINK, a, sizeof(*a), MSG_NOSIGNAL) == sizeof(*a);
}

/* Signals stay blocked: a terminal's, or those of a service that stops, are for the daemon. */
static void serve(int link, const struct user *user)
{
	static char job[HOOK_COMMAND_MAX + HOOK_LINE_MAX];
	struct hook_answer a = { HOOK_READY, 0 };
	int r = keep_link_only(link);

	process_forget_environment();
	setsid();
	prctl(PR_SET_NAME, "tdefs-hook");
	if (r == 0)
		r = become(user);
	if (r < 0)
		a = (struct hook_answer){ HOOK_NOT_RUN, r };
	while (answer(&a) && r == 0) {
		ssize_t n = recv(LINK, job, sizeof(job), 0);

		if (n <= 0)
			return;
		a = do_job(job, (size_t)n);
	}
}

static int find_user(const char *name, struct user *ret_user, struct errmsg *reterr)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw) {
		int err = errno;

		errmsg_next(reterr, "make that user, or correct \"hook_user\"");
		return errmsg_fail(reterr, -ENOENT, EXIT_CODE_CONFIG,
				   "hook_user = %s: no such user%s%s", name, err ? ": " : "",
				   err ? errno_text(err) : "");
	}
	*ret_user = (struct user){ strdup(name), pw->pw_uid, pw->pw_gid };
	if (!ret_user->name)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	return 0;
}

static int await_ready(int link)
{
	struct hook_answer a;
	ssize_t n;

	do
		n = recv(link, &a, sizeof(a), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(a))
		return n < 0 ? -errno : -EPIPE;
	return a.outcome == HOOK_READY ? 0 : a.value;
}

static int fork_helper(const struct user *user, int *ret_link)
{
	CLEANUP_CLOSE int link = -1;
	int sockets[2], r;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	link = sockets[0];
	child = fork();
	if (child == 0) {
		serve(sockets[1], user);
		_exit(0);
	}
	r = child < 0 ? -errno : 0;
	close(sockets[1]);
	if (r == 0)
		r = await_ready(link);
	if (r == 0)
		*ret_link = TAKE_FD(link);
	return r;
}

int hook_helper_fork(const char *name, int *ret_link, struct errmsg *reterr)
{
	struct user user = { 0 };
	int r = find_user(name, &user, reterr);

	if (r < 0)
		return r;
	r = fork_helper(&user, ret_link);
	free(user.name);
	if (r == 0)
		return 0;
	errmsg_next(reterr,
		    "see what restricts this process (seccomp, LSM), or remove \"on_event\"");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "cannot start the helper of on_event as user %s: %s", name,
			   errno_text(r));
}
