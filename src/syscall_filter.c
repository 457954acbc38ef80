/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. The lists are what is needed, and nothing for the sake of completeness. */
#include "syscall_filter.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define SET_ANONYMOUS_NAME 0x53564d41 /* PR_SET_VMA, by which glibc names its memory */

/* Memory, threads, signals, time: what any program of threads does. */
static const char *const common_calls[] = {
	/* memory; mmap and mprotect are among the conditional ones */
	"brk",
	"madvise",
	"mlock",
	"mlock2",
	"mremap",
	"munlock",
	"munmap",
	/* threads; clone3 is refused elsewhere */
	"clone3",
	"exit",
	"exit_group",
	"futex",
	"futex_waitv",
	"get_robust_list",
	"getpid",
	"getppid",
	"gettid",
	"membarrier",
	"restart_syscall",
	"rseq",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"sched_yield",
	"set_robust_list",
	/* signals */
	"kill",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"sigaltstack",
	"tgkill",
	/* time and chance */
	"clock_getres",
	"clock_gettime",
	"clock_nanosleep",
	"getrandom",
	"gettimeofday",
	"nanosleep",
	"time",
	/* what is open */
	"close",
	"fcntl",
	"fstat",
	"lseek",
	"newfstatat",
	"poll",
	"ppoll",
	"read",
	"readv",
	"recvmsg",
	"statx",
	"umount2",
	"write",
	"writev",
};

static const char *const daemon_calls[] = {
	/* files and their data */
	"close_range",
	"copy_file_range",
	"dup",
	"dup2",
	"dup3",
	"fadvise64",
	"fallocate",
	"fdatasync",
	"flock",
	"fstatfs",
	"fsync",
	"ftruncate",
	"open",
	"open_by_handle_at",
	"openat",
	"openat2",
	"pread64",
	"preadv",
	"preadv2",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"statfs",
	"sync_file_range",
	"syncfs",
	/* names and attributes */
	"access",
	"chdir",
	"chmod",
	"chown",
	"faccessat",
	"faccessat2",
	"fchmod",
	"fchmodat",
	"fchmodat2",
	"fchown",
	"fchownat",
	"getcwd",
	"getdents64",
	"link",
	"linkat",
	"lstat",
	"mkdir",
	"mkdirat",
	"mknodat",
	"name_to_handle_at",
	"readlink",
	"readlinkat",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"stat",
	"symlinkat",
	"umask",
	"unlink",
	"unlinkat",
	"utimensat",
	/* for whom, and with which rights */
	"capget",
	"capset",
	"getegid",
	"geteuid",
	"getgid",
	"getgroups",
	"getresgid",
	"getresuid",
	"getuid",
	"setfsgid",
	"setfsuid",
	"setgroups",
	/* sockets (socket is conditional), and waiting for them */
	"accept",
	"accept4",
	"bind",
	"connect",
	"epoll_create1",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"eventfd2",
	"getpeername",
	"getsockname",
	"getsockopt",
	"listen",
	"pipe2",
	"pselect6",
	"recvfrom",
	"recvmmsg",
	"select",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	"socketpair",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_settime",
	/* what libraries ask about this machine */
	"getrusage",
	"sysinfo",
	"times",
	"uname",
	/* once more: SYSCALL_FILTER_MOUNTED, which takes mount away again */
	"mount",
	"seccomp",
};

/* A request thread of a ring stays on its processor. */
static const char *const ring_calls[] = { "io_uring_enter", "io_uring_register", "io_uring_setup",
					  "sched_setaffinity" };

/* On the sockets that it has: it can make none. */
static const char *const keeper_calls[] = { "sendto", "wait4", "waitid" };

/* Allowed where `mask` of an argument is `value`; several of a call: any of them. */
static const struct condition {
	const char *call;
	unsigned argument;
	uint64_t mask, value;
} conditions[] = {
	{ "mmap", 2, PROT_WRITE, 0 }, /* never both to write and to run */
	{ "mmap", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	{ "clone", 0, CLONE_THREAD, CLONE_THREAD }, /* no process */
	{ "prctl", 0, ~0u, PR_SET_NAME },
	{ "prctl", 0, ~0u, PR_GET_DUMPABLE },
	{ "prctl", 0, ~0u, PR_GET_SECCOMP },
	{ "prctl", 0, ~0u, PR_CAPBSET_READ },
	{ "prctl", 0, ~0u, PR_SET_NO_NEW_PRIVS },
	{ "prctl", 0, ~0u, SET_ANONYMOUS_NAME },
	{ "prlimit64", 2, ~0ull, 0 }, /* reads, and sets nothing */
	{ "getrlimit", 0, 0, 0 },
};

static const struct condition daemon_conditions[] = {
	{ "socket", 0, ~0u, AF_UNIX },
	{ "socket", 0, ~0u, AF_INET },
	{ "socket", 0, ~0u, AF_INET6 },
	{ "socket", 0, ~0u, AF_NETLINK },   /* getaddrinfo(3) looks at the addresses of this host */
	{ "ioctl", 1, ~0u, FS_IOC_FIEMAP }, /* of the backing, as are the next two */
	{ "ioctl", 1, ~0u, FS_IOC_FSGETXATTR },
	{ "ioctl", 1, ~0u, FS_IOC_GETFLAGS },
	{ "ioctl", 1, ~0u, TCGETS }, /* is it a terminal? */
	{ "ioctl", 1, ~0u, FIONBIO },
	{ "ioctl", 1, ~0u, FIONREAD },
};

#define NOT_THERE SCMP_ACT_ERRNO(ENOSYS)

/* Calls that this architecture, or this libseccomp, does not know are passed over. */
static int add(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number >= 0)
			r = seccomp_rule_add(filter, action, number, 0);
	}
	return r;
}

static int add_conditions(scmp_filter_ctx filter, const struct condition *all, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct condition *c = &all[i];
		int number = seccomp_syscall_resolve_name(c->call);

		if (number >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
					     SCMP_CMP(c->argument, SCMP_CMP_MASKED_EQ, c->mask,
						      c->value));
	}
	return r;
}

/* Load and let go. The kernel tells of what is refused, unless it is asked for all day. */
static int load(scmp_filter_ctx filter, bool told)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, told);

	/* A call of another architecture: nobody makes one by mistake, so it is told as any other. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, NOT_THERE);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/* All but `name`, also in threads that run. */
static int refuse(const char *name, bool told)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, true);
	if (r == 0)
		r = add(filter, NOT_THERE, &name, 1);
	if (r == 0)
		return load(filter, told);
	seccomp_release(filter);
	return r;
}

/* What setfsuid(2) made of it is undone (src/store/caller.c); nothing but 0 is allowed. */
static int add_not_dumpable(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 2,
				SCMP_CMP(0, SCMP_CMP_MASKED_EQ, ~0u, PR_SET_DUMPABLE),
				SCMP_CMP(1, SCMP_CMP_EQ, 0));
}

static int add_daemon(scmp_filter_ctx filter, bool rings)
{
	int r = add(filter, SCMP_ACT_ALLOW, daemon_calls, ARRAY_SIZE(daemon_calls));

	if (r == 0)
		r = add_not_dumpable(filter);
	if (r == 0 && rings)
		r = add(filter, SCMP_ACT_ALLOW, ring_calls, ARRAY_SIZE(ring_calls));
	return r < 0 ? r : add_conditions(filter, daemon_conditions, ARRAY_SIZE(daemon_conditions));
}

static int allow_only(enum syscall_filter which)
{
	scmp_filter_ctx filter = seccomp_init(NOT_THERE);
	int r;

	if (!filter)
		return -ENOMEM;
	r = add(filter, SCMP_ACT_ALLOW, common_calls, ARRAY_SIZE(common_calls));
	if (r == 0)
		r = add_conditions(filter, conditions, ARRAY_SIZE(conditions));
	if (r == 0 && which == SYSCALL_FILTER_KEEPER)
		r = add(filter, SCMP_ACT_ALLOW, keeper_calls, ARRAY_SIZE(keeper_calls));
	else if (r == 0)
		r = add_daemon(filter, which == SYSCALL_FILTER_IO_URING);
	if (r == 0)
		return load(filter, true);
	seccomp_release(filter);
	return r;
}

/*
 * clone3(2) keeps its flags in memory, where no filter sees them; with ENOSYS
 * glibc takes clone(2). It asks for each thread: not a line of the log each time.
 */
static int load_all(enum syscall_filter which)
{
	int r = refuse("clone3", false);

	return r < 0 ? r : allow_only(which);
}

int syscall_filter_load(enum syscall_filter which)
{
	if (syscall_filter_lacks())
		return 0;
	return which == SYSCALL_FILTER_MOUNTED ? refuse("mount", true) : load_all(which);
}

const char *syscall_filter_lacks(void)
{
	const uint32_t native = seccomp_arch_native();

	return native == SCMP_ARCH_X86_64 || native == SCMP_ARCH_AARCH64
		       ? NULL
		       : "there is none for this architecture yet";
}
