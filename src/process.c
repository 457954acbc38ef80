/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and privileges of this process. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tdefs/log.h"

int process_fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); /* the lowest that is free */
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int process_harden(struct errmsg *reterr)
{
	const struct rlimit no_core = { 0, 0 };

	umask(0); /* the kernel has applied the caller's */
	if (close_range(STDERR_FILENO + 1, ~0u, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &no_core) < 0) {
		errmsg_next(reterr, "see what restricts this process (seccomp, LSM)");
		return errmsg_fail(reterr, -errno, EXIT_CODE_FAILED,
				   "cannot harden the process: %s", errno_text(errno));
	}
	return 0;
}

/* A descriptor for each open backing file: as many as the system allows. */
static unsigned long most_open_files(void)
{
	CLEANUP_FCLOSE FILE *f = fopen("/proc/sys/fs/nr_open", "re");
	char line[32];

	return f && fgets(line, sizeof(line), f) ? strtoul(line, NULL, 10) : 0;
}

/* To `most`, or where that is not ours to have, to what is. */
static void raise_limit(__rlimit_resource_t resource, rlim_t most, const char *what)
{
	struct rlimit limit = { most, most };

	if (setrlimit(resource, &limit) == 0 || getrlimit(resource, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(resource, &limit) < 0)
		log_warning("cannot raise the limit of %s: %s", what, errno_text(errno));
}

void process_raise_limits(void)
{
	rlim_t most = most_open_files();

	if (most > 0)
		raise_limit(RLIMIT_NOFILE, most, "open files");
	raise_limit(RLIMIT_FSIZE, RLIM_INFINITY, "file sizes");
}

void process_block_signals(void)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
		sigdelset(&set, deadly[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGXFSZ, SIG_IGN); /* write(2) answers EFBIG, which is the writer's */
}

#define CAPABILITY(name) (UINT64_C(1) << CAP_##name)

/* Acting on any file for any caller; locking memory; mounting and unmounting. */
static const uint64_t needed = CAPABILITY(CHOWN) | CAPABILITY(DAC_OVERRIDE) |
			       CAPABILITY(DAC_READ_SEARCH) | CAPABILITY(FOWNER) |
			       CAPABILITY(FSETID) | CAPABILITY(SETGID) | CAPABILITY(SETUID) |
			       CAPABILITY(MKNOD) | CAPABILITY(IPC_LOCK) | CAPABILITY(SYS_ADMIN);

/* What the keeper does by path: freeing whoever waits for a mount that is dead. */
static const uint64_t needed_by_keeper = CAPABILITY(DAC_READ_SEARCH) | CAPABILITY(SYS_ADMIN);

static int keep_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		data[i].permitted &= (uint32_t)(kept >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Nothing that is run would gain them; nor can anything be run. EPERM: others set the bounds. */
static int bound_capabilities(uint64_t kept)
{
	for (int i = 0; i < 64 && prctl(PR_CAPBSET_READ, i) >= 0; i++)
		if (!(kept >> i & 1) && prctl(PR_CAPBSET_DROP, i) < 0 && errno != EPERM)
			return -errno;
	return 0;
}

static int keep_privileges(uint64_t kept)
{
	int r = bound_capabilities(kept);

	if (r == 0)
		r = keep_capabilities(kept);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

uint64_t process_daemon_capabilities(void)
{
	return needed;
}

uint64_t process_keeper_capabilities(void)
{
	return needed_by_keeper;
}

int process_drop_privileges(void)
{
	return keep_privileges(needed);
}

int process_drop_keeper_privileges(void)
{
	return keep_privileges(needed_by_keeper);
}

int process_keep_kill_capability(void)
{
	return keep_capabilities(CAPABILITY(KILL));
}

void process_forget_environment(void)
{
	for (char **word = environ; word && *word; word++)
		explicit_bzero(*word, strlen(*word));
}
