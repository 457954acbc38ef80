/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring_entry.h"
#include "tdefs/errmsg.h"
#include "tdefs/log.h"

#define PARAMETER "/sys/module/fuse/parameters/enable_uring"

/* Fewer, and one that waits for a disk would keep all other requests of that CPU waiting. */
#define LEAST_OF_A_CPU 2u

/* More of each CPU, and in all, once requests are kept (a freeze). */
#define KEPT_OF_A_CPU 64u
#define KEPT_IN_ALL   1024u

enum stage { WAITING, STARTED, STOPPED };

struct ring_thread {
	struct ring *ring;
	struct ring_thread *next;
	pthread_t id;
	uint16_t cpu;
	uint8_t *room;
	struct ring_entry entry;
};

/* Of one CPU. */
struct ring_queue {
	bool ours; /* this process may run there */
	unsigned threads;
	unsigned kept;
};

struct ring {
	struct ring_server server;
	pthread_mutex_t lock; /* guards what follows; innermost */
	pthread_cond_t changed;
	enum stage stage;
	int device_fd;
	struct ring_thread *threads;
	struct ring_queue *queues;
	unsigned nqueues;    /* CPUs that there may ever be */
	unsigned count;	     /* of threads */
	unsigned opened;     /* entries that are open, or could not be */
	unsigned registered; /* entries that are, or could not be */
	int error;	     /* of the first that could not */
	bool told;	     /* server.started() was */
	bool enlarged;	     /* by ring_prepare_to_keep() */
};

/* What the calling thread serves. */
static _Thread_local struct ring_thread *at_hand;

bool ring_answer(const struct iovec *answer, int count, ssize_t *ret_len)
{
	if (!at_hand || !ring_entry_expects(&at_hand->entry, answer))
		return false;
	*ret_len = ring_entry_answer(&at_hand->entry, answer, count);
	return true;
}

static bool is_enabled(void)
{
	char value = '?';
	CLEANUP_CLOSE int fd = open(PARAMETER, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, &value, 1) == 1 && value == 'Y';
}

const struct ring_lack *ring_lack(void)
{
	static const struct ring_lack
		kernel = { "this kernel has no FUSE over io_uring",
			   "boot Linux 6.14 or newer with CONFIG_FUSE_IO_URING" },
		parameter = { "the kernel's FUSE over io_uring is switched off",
			      "echo Y >" PARAMETER " (for good: options fuse enable_uring=1 in "
			      "/etc/modprobe.d)" },
		forbidden = { "io_uring is forbidden to this process",
			      "see sysctl kernel.io_uring_disabled and what a container forbids "
			      "(seccomp)" };
	struct io_uring uring;
	int r;

	if (access(PARAMETER, F_OK) < 0)
		return &kernel;
	if (!is_enabled())
		return &parameter;
	r = io_uring_queue_init(1, &uring, ring_entry_flags);
	if (r == -EINVAL)
		return &kernel;
	if (r < 0)
		return &forbidden;
	io_uring_queue_exit(&uring);
	return NULL;
}

/*
 * A request is served where it was made, and no other CPU is woken: unbound, a fifth fewer random
 * reads. To poll for the next before sleeping gains nothing there: it takes the CPU from who would
 * make it. The CPU may be absent, or not ours: then it serves from elsewhere.
 */
static void stay_on(uint16_t cpu)
{
	cpu_set_t *set = CPU_ALLOC(cpu + 1u);
	const size_t len = CPU_ALLOC_SIZE(cpu + 1u);

	if (!set)
		return;
	CPU_ZERO_S(len, set);
	CPU_SET_S(cpu, len, set);
	IGNORE_RESULT(sched_setaffinity(0, len, set), "see above");
	CPU_FREE(set);
}

/* Under the lock. */
static void note(struct ring *ring, unsigned *counter, int r)
{
	(*counter)++;
	if (r < 0 && ring->error == 0)
		ring->error = r;
	pthread_cond_broadcast(&ring->changed);
}

/* 0: the ring was started, and this entry can be. */
static int open_and_wait(struct ring_thread *t)
{
	struct ring *ring = t->ring;
	int r = ring_entry_open(&t->entry, t->cpu);
	LOCK_SCOPE(&ring->lock);

	note(ring, &ring->opened, r);
	while (ring->stage == WAITING)
		pthread_cond_wait(&ring->changed, &ring->lock);
	return r == 0 && ring->stage == STARTED ? 0 : -ECANCELED;
}

static int register_entry(struct ring_thread *t)
{
	struct ring *ring = t->ring;
	int r = ring_entry_register(&t->entry, ring->device_fd), error;
	bool last;

	{
		LOCK_SCOPE(&ring->lock);
		note(ring, &ring->registered, r);
		last = ring->registered == ring->count && !ring->told;
		ring->told |= last;
		error = ring->error;
	}
	if (last)
		ring->server.started(ring->server.arg, error);
	return r;
}

static void serve(struct ring_thread *t)
{
	const struct ring_server *server = &t->ring->server;
	int r;

	at_hand = t;
	while ((r = ring_entry_wait(&t->entry)) == 0)
		server->serve(server->arg, t->entry.request, t->entry.request_len, t->room);
	if (r != -ENOTCONN)
		log_error("FUSE over io_uring: a thread of CPU %u ended: %s", t->cpu,
			  errno_text(r));
}

static void *ring_thread(void *arg)
{
	struct ring_thread *t = arg;

	stay_on(t->cpu);
	if (open_and_wait(t) == 0 && register_entry(t) == 0)
		serve(t);
	ring_entry_close(&t->entry);
	explicit_bzero(t->room, t->ring->server.room_len);
	LOCK_SCOPE(&t->ring->lock);
	t->ring->queues[t->cpu].threads--;
	return NULL;
}

static int start_thread(struct ring *ring, uint16_t cpu)
{
	struct ring_thread *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->ring = ring;
	t->cpu = cpu;
	t->room = malloc(ring->server.room_len);
	r = t->room ? -pthread_create(&t->id, NULL, ring_thread, t) : -ENOMEM;
	if (r < 0) {
		free(t->room);
		free(t);
		return r;
	}
	LOCK_SCOPE(&ring->lock);
	t->next = ring->threads;
	ring->threads = t;
	ring->queues[cpu].threads++;
	ring->count++;
	return 0;
}

static int start_threads(struct ring *ring, uint16_t cpu, unsigned n)
{
	int r = 0;

	while (n-- > 0 && r == 0)
		r = start_thread(ring, cpu);
	return r;
}

static void find_ours(struct ring *ring)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	IGNORE_RESULT(sched_getaffinity(0, sizeof(set), &set), "then none is");
	for (unsigned cpu = 0; cpu < ring->nqueues; cpu++)
		ring->queues[cpu].ours = CPU_ISSET(cpu, &set);
}

/*
 * The kernel wants an entry for each CPU that there may ever be, and only then
 * begins. One that is not ours now, or absent, gets one.
 */
static int start_all(struct ring *ring)
{
	const unsigned wanted = ring->server.threads / ring->nqueues;
	const unsigned each = wanted > LEAST_OF_A_CPU ? wanted : LEAST_OF_A_CPU;
	int r = 0;

	find_ours(ring);
	for (unsigned cpu = 0; cpu < ring->nqueues && r == 0; cpu++)
		r = start_threads(ring, (uint16_t)cpu, ring->queues[cpu].ours ? each : 1);
	return r;
}

static int wait_until_open(struct ring *ring)
{
	LOCK_SCOPE(&ring->lock);

	while (ring->opened < ring->count)
		pthread_cond_wait(&ring->changed, &ring->lock);
	return ring->error;
}

int ring_new(const struct ring_server *server, struct ring **ret_ring)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int r = -ENOMEM;

	if (!ring)
		return r;
	ring->server = *server;
	pthread_mutex_init(&ring->lock, NULL);
	pthread_cond_init(&ring->changed, NULL);
	ring->nqueues = (unsigned)sysconf(_SC_NPROCESSORS_CONF);
	ring->queues = calloc(ring->nqueues, sizeof(*ring->queues));
	if (ring->queues)
		r = start_all(ring);
	if (r == 0)
		r = wait_until_open(ring);
	if (r == 0)
		*ret_ring = ring;
	else
		ring_free(ring);
	return r;
}

void ring_start(struct ring *ring, int device_fd)
{
	LOCK_SCOPE(&ring->lock);

	ring->device_fd = device_fd;
	ring->stage = STARTED;
	pthread_cond_broadcast(&ring->changed);
}

static bool begin_to_enlarge(struct ring *ring)
{
	LOCK_SCOPE(&ring->lock);

	if (ring->enlarged || ring->stage != STARTED)
		return false;
	return ring->enlarged = true;
}

/* What could not be started or registered is missed at the first request that is kept too many. */
static void wait_until_registered(struct ring *ring)
{
	LOCK_SCOPE(&ring->lock);

	while (ring->registered < ring->count && ring->error == 0 && ring->stage == STARTED)
		pthread_cond_wait(&ring->changed, &ring->lock);
}

/*
 * Not later: a request that finds no free entry waits for one that is in use, and
 * not for one that is registered after it. As long as ring_keep() leaves some that
 * are not kept, there always is such a one.
 */
void ring_prepare_to_keep(struct ring *ring)
{
	unsigned ours = 0, each;

	if (!begin_to_enlarge(ring))
		return;
	for (unsigned cpu = 0; cpu < ring->nqueues; cpu++)
		ours += ring->queues[cpu].ours;
	each = KEPT_IN_ALL / (ours ? ours : 1);
	if (each > KEPT_OF_A_CPU)
		each = KEPT_OF_A_CPU;
	for (unsigned cpu = 0; cpu < ring->nqueues; cpu++)
		if (ring->queues[cpu].ours)
			IGNORE_RESULT(start_threads(ring, (uint16_t)cpu, each), "see below");
	wait_until_registered(ring);
}

bool ring_keep(void)
{
	struct ring_queue *q = &at_hand->ring->queues[at_hand->cpu];
	LOCK_SCOPE(&at_hand->ring->lock);

	if (q->threads < q->kept + 1 + LEAST_OF_A_CPU)
		return false;
	q->kept++;
	return true;
}

void ring_go_on(void)
{
	LOCK_SCOPE(&at_hand->ring->lock);
	at_hand->ring->queues[at_hand->cpu].kept--;
}

static struct ring_thread *take_thread(struct ring *ring)
{
	struct ring_thread *t;
	LOCK_SCOPE(&ring->lock);

	ring->stage = STOPPED;
	pthread_cond_broadcast(&ring->changed);
	t = ring->threads;
	if (t)
		ring->threads = t->next;
	return t;
}

void ring_join(struct ring *ring)
{
	struct ring_thread *t;

	while ((t = take_thread(ring))) {
		pthread_join(t->id, NULL);
		free(t->room);
		free(t);
	}
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	ring_join(ring);
	pthread_cond_destroy(&ring->changed);
	pthread_mutex_destroy(&ring->lock);
	free(ring->queues);
	free(ring);
}
