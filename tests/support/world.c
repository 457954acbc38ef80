/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a daemon: what the rest of the world says to it is in a file of one page that a
 * test writes to (world.py). Names that end with ".test" are known only if they stand there, and
 * the clocks that tdefs asks run ahead, as after a suspend.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct world {
	_Atomic int64_t boot_ahead; /* seconds */
	_Atomic int64_t wall_ahead; /* seconds */
	_Atomic int64_t name_known; /* every name of ".test" is 127.0.0.1 */
};

static const struct world *world;

__attribute__((constructor)) static void world_open(void)
{
	const char *path = getenv("TDEFS_TEST_WORLD");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*world), PROT_READ, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (page != MAP_FAILED)
		world = page;
}

static int64_t ahead(clockid_t clock)
{
	if (!world)
		return 0;
	return clock == CLOCK_BOOTTIME	 ? world->boot_ahead
	       : clock == CLOCK_REALTIME ? world->wall_ahead
					 : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	static int (*_Atomic next)(clockid_t, struct timespec *);
	int r;

	if (!next)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = next(clock, t);
	if (r == 0)
		t->tv_sec += ahead(clock);
	return r;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

int getaddrinfo(const char *restrict name, const char *restrict service,
		const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	typedef int function(const char *, const char *, const struct addrinfo *,
			     struct addrinfo **);
	static function *_Atomic next;
	size_t len = name ? strlen(name) : 0;

	if (!next)
		next = (function *)dlsym(RTLD_NEXT, "getaddrinfo");
	if (world && len > 5 && strcmp(name + len - 5, ".test") == 0) {
		if (!world->name_known)
			return EAI_NONAME;
		name = "127.0.0.1";
	}
	return next(name, service, hints, ret);
}
