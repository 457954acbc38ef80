/* SPDX-License-Identifier: Apache-2.0 */
/* The filters, each loaded in a child: what is outside of them fails there, and what is needed works. */
#include "syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/test.h"

/* 0 or an errno, as a child's exit status has it. */
typedef int (*attempt)(void);

static int as_errno(long result)
{
	return result < 0 ? errno : 0;
}

/* What the attempt comes to behind these filters (-1: none further). */
static int behind(int first, int second, attempt try)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		int r = syscall_filter_load((enum syscall_filter)first);

		if (r == 0 && second >= 0)
			r = syscall_filter_load((enum syscall_filter)second);
		_exit(r < 0 ? 255 : try());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int try_execve(void)
{
	char *none[] = { NULL };

	return as_errno(execve("/bin/true", none, none));
}

static int try_execveat(void)
{
	char *none[] = { NULL };

	return as_errno(syscall(SYS_execveat, AT_FDCWD, "/bin/true", none, none, 0));
}

static int try_fork(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	return as_errno(child);
}

/* Whatever it would say about this: its flags lie where no filter sees them. */
static int try_clone3(void)
{
	return as_errno(syscall(SYS_clone3, NULL, 0));
}

static int try_ptrace(void)
{
	return as_errno(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

/* Whatever else is wrong with it (no such place) the kernel would say, too. */
static int try_mount(void)
{
	return as_errno(mount("none", "/nowhere/at/all", "tmpfs", 0, NULL));
}

static int try_packets(void)
{
	return as_errno(socket(AF_PACKET, SOCK_RAW, 0));
}

static int try_socket(void)
{
	return as_errno(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int try_bpf(void)
{
	return as_errno(syscall(SYS_bpf, -1, NULL, 0));
}

static int try_keyctl(void)
{
	return as_errno(syscall(SYS_keyctl, -1, 0, 0, 0, 0));
}

static int try_unshare(void)
{
	return as_errno(unshare(CLONE_NEWNS));
}

static int try_dumpable(void)
{
	return as_errno(prctl(PR_SET_DUMPABLE, 1));
}

static int try_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int try_code_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? 254 : as_errno(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

/* A call that no kernel has yet. */
static int try_unknown(void)
{
	return as_errno(syscall(4000));
}

static int try_open(void)
{
	return as_errno(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static const struct {
	const char *name;
	attempt try;
} refused[] = {
	{ "execve", try_execve },
	{ "execveat", try_execveat },
	{ "fork", try_fork },
	{ "ptrace", try_ptrace },
	{ "bpf", try_bpf },
	{ "keyctl", try_keyctl },
	{ "packets", try_packets },
	{ "unshare", try_unshare },
	{ "dumpable", try_dumpable },
	{ "write+exec", try_code },
	{ "exec later", try_code_later },
	{ "unknown", try_unknown },
	{ "clone3", try_clone3 },
};

static void each_is_refused(int first, int second)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		int r = behind(first, second, refused[i].try);

		if (r != ENOSYS)
			fail_msg("%s: %d", refused[i].name, r);
	}
}

static void what_is_outside_answers_enosys(void **state)
{
	(void)state;
	each_is_refused(SYSCALL_FILTER_DAEMON, -1);
	each_is_refused(SYSCALL_FILTER_DAEMON, SYSCALL_FILTER_MOUNTED);
	each_is_refused(SYSCALL_FILTER_KEEPER, -1);
	assert_int_equal(behind(SYSCALL_FILTER_KEEPER, -1, try_open), ENOSYS);
}

static int try_ring(void)
{
	return as_errno(syscall(SYS_io_uring_setup, 0, NULL));
}

static void rings_only_where_they_are_used(void **state)
{
	const int without = behind(SYSCALL_FILTER_DAEMON, -1, try_ring);
	const int with = behind(SYSCALL_FILTER_IO_URING, -1, try_ring);

	(void)state;
	each_is_refused(SYSCALL_FILTER_IO_URING, -1);
	assert_int_equal(without, ENOSYS);
	assert_int_equal(with, try_ring()); /* as without a filter */
}

static void mount_goes_with_the_mount(void **state)
{
	(void)state;
	assert_int_equal(behind(SYSCALL_FILTER_DAEMON, -1, try_mount), ENOENT);
	assert_int_equal(behind(SYSCALL_FILTER_DAEMON, SYSCALL_FILTER_MOUNTED, try_mount), ENOSYS);
	assert_int_equal(behind(SYSCALL_FILTER_KEEPER, -1, try_mount), ENOSYS);
}

static void *thread(void *arg)
{
	*(int *)arg = try_execve();
	return NULL;
}

/* A thread starts, and is filtered, too. */
static int use_threads(void)
{
	pthread_t id;
	int r = 0;

	if (pthread_create(&id, NULL, thread, &r) != 0 || pthread_join(id, NULL) != 0)
		return EAGAIN;
	return r == ENOSYS ? 0 : r;
}

/* Names are looked up as the daemon does, and a file is read by stdio. */
static int use_libraries(void)
{
	struct addrinfo *found;
	FILE *f = fopen("/etc/passwd", "re");

	if (!f || fgetc(f) == EOF || fclose(f) != 0)
		return EIO;
	if (getaddrinfo("localhost", "443", NULL, &found) != 0)
		return EHOSTUNREACH;
	freeaddrinfo(found);
	return 0;
}

static void what_is_needed_works(void **state)
{
	(void)state;
	assert_int_equal(behind(SYSCALL_FILTER_DAEMON, SYSCALL_FILTER_MOUNTED, use_threads), 0);
	assert_int_equal(behind(SYSCALL_FILTER_DAEMON, SYSCALL_FILTER_MOUNTED, use_libraries), 0);
	assert_int_equal(behind(SYSCALL_FILTER_KEEPER, -1, use_threads), 0);
}

static int pair[2];

static int use_a_socket(void)
{
	return as_errno(send(pair[0], "x", 1, MSG_NOSIGNAL));
}

static void keeper_sends_and_connects_nowhere(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(behind(SYSCALL_FILTER_KEEPER, -1, use_a_socket), 0);
	assert_int_equal(behind(SYSCALL_FILTER_KEEPER, -1, try_socket), ENOSYS);
	close(pair[0]);
	close(pair[1]);
}

/* The second filter reaches a thread that was there before it. */
struct waiting {
	pthread_barrier_t loaded;
	int answer;
};

static void *mount_later(void *arg)
{
	struct waiting *w = arg;

	pthread_barrier_wait(&w->loaded);
	w->answer = try_mount();
	return NULL;
}

static int filter_beneath_a_thread(void)
{
	struct waiting w = { 0 };
	pthread_t id;
	int r;

	if (pthread_barrier_init(&w.loaded, NULL, 2) != 0 ||
	    pthread_create(&id, NULL, mount_later, &w) != 0)
		return EAGAIN;
	r = syscall_filter_load(SYSCALL_FILTER_MOUNTED);
	pthread_barrier_wait(&w.loaded);
	pthread_join(id, NULL);
	return r < 0 ? -r : w.answer;
}

static void threads_that_run_lose_mount_too(void **state)
{
	(void)state;
	assert_int_equal(behind(SYSCALL_FILTER_DAEMON, -1, filter_beneath_a_thread), ENOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_outside_answers_enosys),
		cmocka_unit_test(rings_only_where_they_are_used),
		cmocka_unit_test(mount_goes_with_the_mount),
		cmocka_unit_test(what_is_needed_works),
		cmocka_unit_test(keeper_sends_and_connects_nowhere),
		cmocka_unit_test(threads_that_run_lose_mount_too),
	};

	if (syscall_filter_lacks()) {
		printf("not proven: %s\n", syscall_filter_lacks());
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
