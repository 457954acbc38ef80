/* SPDX-License-Identifier: Apache-2.0 */
/* What confines the daemon and its keeper: /proc/PID, which is the kernel's word. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"
#include "security.h"
#include "syscall_filter.h"

#define START_AGAIN "mount the volume again, and see the daemon's log"

/* "Name:  value" of /proc/PID/status; false: no such line, or process. */
static bool field_of(pid_t pid, const char *field, char *out, size_t len)
{
	char path[64], line[256];
	CLEANUP_FCLOSE FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		const size_t n = strlen(field);

		if (strncmp(line, field, n) != 0 || line[n] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(out, len, "%s", line + n + 1 + strspn(line + n + 1, " \t"));
		return true;
	}
	return false;
}

static unsigned long long number_of(pid_t pid, const char *field, int base)
{
	char text[64];

	return field_of(pid, field, text, sizeof(text)) ? strtoull(text, NULL, base) : 0;
}

/* The daemon's parent, if it is the one that it was started with. */
static pid_t find_keeper(pid_t daemon)
{
	const pid_t parent = (pid_t)number_of(daemon, "PPid", 10);
	char ours[64], its[64];

	if (parent > 1 && field_of(daemon, "Name", ours, sizeof(ours)) &&
	    field_of(parent, "Name", its, sizeof(its)) && strcmp(ours, its) == 0)
		return parent;
	return 0;
}

static void add_no_new_privs(struct security *s, const char *name, pid_t pid)
{
	const bool on = number_of(pid, "NoNewPrivs", 10) == 1;

	security_add(s, name, on ? SECURITY_GOOD : SECURITY_BAD, START_AGAIN, on ? "yes" : "no");
}

/* Its own: systemd's are filters, too, and count as ours in /proc. */
static void add_seccomp(struct security *s, const char *name, pid_t pid)
{
	const char *lacks = syscall_filter_lacks();

	if (!json_is_true(json_object_get(s->status, "seccomp")))
		security_add(s, name, SECURITY_BAD, "set seccomp = yes, and mount it again",
			     "off: seccomp = no");
	else if (lacks)
		security_add(s, name, SECURITY_BAD,
			     "use a build for x86_64 or aarch64, without a sanitizer", "off: %s",
			     lacks);
	else if (number_of(pid, "Seccomp", 10) == 2)
		security_add(s, name, SECURITY_GOOD, NULL, "in force, %llu filters",
			     number_of(pid, "Seccomp_filters", 10));
	else
		security_add(s, name, SECURITY_BAD, START_AGAIN, "off");
}

static void add_capabilities(struct security *s, const char *name, pid_t pid, uint64_t needed)
{
	const unsigned long long effective = number_of(pid, "CapEff", 16);
	const unsigned long long permitted = number_of(pid, "CapPrm", 16);
	const unsigned long long bounding = number_of(pid, "CapBnd", 16);
	const bool good = !((effective | permitted | bounding) & ~needed);

	security_add(s, name, good ? SECURITY_GOOD : SECURITY_BAD,
		     "see capsh --decode=MASK, and what took CAP_SETPCAP from it",
		     "effective %llx, permitted %llx, bounding %llx; needs %llx", effective,
		     permitted, bounding, (unsigned long long)needed);
}

static void add_dumpable(struct security *s)
{
	const json_t *dumpable = json_object_get(s->status, "dumpable");

	if (json_is_boolean(dumpable))
		security_add(s, "dumpable", json_is_true(dumpable) ? SECURITY_BAD : SECURITY_GOOD,
			     START_AGAIN, json_is_true(dumpable) ? "yes" : "no, the daemon says");
	else
		security_add(s, "dumpable", SECURITY_UNKNOWN, "mount it by this version",
			     "the daemon does not tell");
}

/* Of "SOFT HARD", in bytes: what the process could raise it to; "unlimited" is ULLONG_MAX. */
static unsigned long long hard_limit(const char *limits)
{
	const char *hard = limits + strspn(limits, " ");
	unsigned long long value;
	char *end;

	hard += strcspn(hard, " ");
	value = strtoull(hard, &end, 10);
	return end == hard ? ULLONG_MAX : value;
}

static void add_core_limit(struct security *s)
{
	static const char field[] = "Max core file size";
	char path[64], line[256];
	unsigned long long hard = ULLONG_MAX;
	CLEANUP_FCLOSE FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/limits", (int)s->daemon);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, field, strlen(field)) == 0)
			hard = hard_limit(line + strlen(field));
	security_add(s, "core dumps", hard == 0 ? SECURITY_GOOD : SECURITY_BAD, START_AGAIN,
		     hard == 0 ? "none (limit 0)" : "possible");
}

/* With mlockall(2), all that is resident is locked. */
static void add_memory(struct security *s)
{
	const unsigned long long locked = number_of(s->daemon, "VmLck", 10);
	const unsigned long long resident = number_of(s->daemon, "VmRSS", 10);
	const unsigned long long swapped = number_of(s->daemon, "VmSwap", 10);
	const bool good = locked >= resident && locked > 0 && swapped == 0;

	security_add(s, "memory locked", good ? SECURITY_GOOD : SECURITY_BAD,
		     "raise RLIMIT_MEMLOCK, set lock_memory = yes, and mount it again",
		     "%llu KiB; resident %llu KiB, swapped out %llu KiB", locked, resident,
		     swapped);
}

static void add_apparmor(struct security *s)
{
	char path[64], label[256];
	const char *next;

	if (!security_read_line("/sys/module/apparmor/parameters/enabled", label, sizeof(label)) ||
	    label[0] != 'Y') {
		security_add(s, "AppArmor", SECURITY_UNKNOWN,
			     "where a profile is wanted, start the kernel with apparmor=1",
			     "not enabled in this kernel");
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/attr/current", (int)s->daemon);
	if (!security_read_line(path, label, sizeof(label)))
		(void)snprintf(label, sizeof(label), "unreadable");
	if (strstr(label, "(complain)"))
		next = "aa-enforce /usr/sbin/tdefs, once the kernel's log has no more lines with "
		       "ALLOWED and profile=\"tdefs\"";
	else
		next = "apparmor_parser -r /etc/apparmor.d/usr.sbin.tdefs, then mount it again";
	security_add(s, "AppArmor", strstr(label, "(enforce)") ? SECURITY_GOOD : SECURITY_BAD, next,
		     "%s", label);
}

static void add_keeper(struct security *s)
{
	s->keeper = find_keeper(s->daemon);
	if (s->keeper == 0) {
		security_add(s, "keeper", SECURITY_BAD,
			     "mount it again: nobody drops cached pages if the daemon is killed",
			     "not alive");
		return;
	}
	security_add(s, "keeper", SECURITY_GOOD, NULL, "alive, process %d", (int)s->keeper);
	add_no_new_privs(s, "keeper no_new_privs", s->keeper);
	add_seccomp(s, "keeper seccomp", s->keeper);
	add_capabilities(s, "keeper capabilities", s->keeper, process_keeper_capabilities());
}

void security_of_processes(struct security *s)
{
	add_no_new_privs(s, "no_new_privs", s->daemon);
	add_seccomp(s, "seccomp", s->daemon);
	add_capabilities(s, "capabilities", s->daemon, process_daemon_capabilities());
	add_dumpable(s);
	add_core_limit(s);
	add_memory(s);
	add_apparmor(s);
	add_keeper(s);
}
