/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads on one file, and the range locks by themselves. Run under
 * ThreadSanitizer, too.
 */
#include "../support/test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/kit.h"
#include "../support/temporary.h"
#include "tdefs/range_lock.h"

#define THREADS 8
#define SECTOR	4096

/* Range locks. */

struct claim {
	struct range_lock *lock;
	uint64_t first, last;
	bool exclusive;
	sem_t locked, release;
	pthread_t thread;
};

static void *hold(void *arg)
{
	struct claim *c = arg;
	struct range r;

	if (c->exclusive)
		range_lock_exclusive(c->lock, &r, c->first, c->last);
	else
		range_lock_shared(c->lock, &r, c->first, c->last);
	sem_post(&c->locked);
	sem_wait(&c->release);
	range_unlock(c->lock, &r);
	return NULL;
}

static void claim_start(struct claim *c, struct range_lock *lock, uint64_t first, uint64_t last,
			bool exclusive)
{
	*c = (struct claim){ .lock = lock, .first = first, .last = last, .exclusive = exclusive };
	sem_init(&c->locked, 0, 0);
	sem_init(&c->release, 0, 0);
	assert_int_equal(pthread_create(&c->thread, NULL, hold, c), 0);
}

static void claim_end(struct claim *c)
{
	sem_post(&c->release);
	pthread_join(c->thread, NULL);
}

/* Wait until somebody has queued up behind the holders. */
static void await_waiter(struct range_lock *lock, unsigned waiters)
{
	for (;;) {
		unsigned now;

		pthread_mutex_lock(&lock->lock);
		now = lock->waiters;
		pthread_mutex_unlock(&lock->lock);
		if (now == waiters)
			return;
		usleep(100);
	}
}

static void different_sectors_do_not_wait(void **state)
{
	struct range_lock lock;
	struct claim a, b, c;

	(void)state;
	range_lock_init(&lock);
	claim_start(&a, &lock, 0, 4, true);
	sem_wait(&a.locked);
	claim_start(&b, &lock, 5, 9, true);
	sem_wait(&b.locked); /* would hang if it waited for a */
	claim_start(&c, &lock, 10, RANGE_END, true);
	sem_wait(&c.locked);
	claim_end(&a);
	claim_end(&b);
	claim_end(&c);
	range_lock_destroy(&lock);
}

static void readers_share_and_writers_exclude(void **state)
{
	struct range_lock lock;
	struct claim a, b, writer;

	(void)state;
	range_lock_init(&lock);
	claim_start(&a, &lock, 0, 9, false);
	sem_wait(&a.locked);
	claim_start(&b, &lock, 5, 5, false);
	sem_wait(&b.locked);
	claim_start(&writer, &lock, 5, 5, true);
	await_waiter(&lock, 1);
	assert_int_equal(sem_trywait(&writer.locked), -1);
	claim_end(&a);
	await_waiter(&lock, 1);
	assert_int_equal(sem_trywait(&writer.locked), -1);
	claim_end(&b);
	sem_wait(&writer.locked);
	claim_end(&writer);
	range_lock_destroy(&lock);
}

/* A reader that comes after a waiting writer waits too, so the writer is served. */
static void requests_are_served_in_order(void **state)
{
	struct range_lock lock;
	struct claim reader, writer, late;

	(void)state;
	range_lock_init(&lock);
	claim_start(&reader, &lock, 0, 0, false);
	sem_wait(&reader.locked);
	claim_start(&writer, &lock, 0, 0, true);
	await_waiter(&lock, 1);
	claim_start(&late, &lock, 0, 0, false);
	await_waiter(&lock, 2);
	assert_int_equal(sem_trywait(&late.locked), -1);
	claim_end(&reader);
	sem_wait(&writer.locked);
	assert_int_equal(sem_trywait(&late.locked), -1);
	claim_end(&writer);
	sem_wait(&late.locked);
	claim_end(&late);
	range_lock_destroy(&lock);
}

/* Files. */

static struct file *shared_file;

/* A thread's result: why it failed; NULL: it did not. */
static void *because(const char *why)
{
	return (void *)(uintptr_t)why;
}

static struct file *open_temporary(void)
{
	int fd = temporary_file();
	struct file *f = NULL;

	assert_true(fd >= 0);
	assert_int_equal(file_open(kit_context(&sysio_kernel), fd, 1, 0, &f), 0);
	return f;
}

static void run_threads(void *(*body)(void *), unsigned n)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, (void *)i), 0);
	for (unsigned i = 0; i < n; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
}

/* Each thread owns every THREADS-th 16 bytes of one sector, unaligned, so all edges collide. */
static void *write_own_pieces(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	uint8_t piece[13];

	for (unsigned round = 0; round < 60; round++) {
		for (size_t at = 3 + me * 13; at + 13 < 3 * SECTOR; at += THREADS * 13) {
			memset(piece, (int)(me + 1), sizeof(piece));
			if (file_write(shared_file, kit_room(), piece, sizeof(piece), at) != 13)
				return because("write failed");
		}
	}
	return NULL;
}

static void partial_writes_do_not_lose_each_other(void **state)
{
	static uint8_t bytes[3 * SECTOR];

	(void)state;
	shared_file = open_temporary();
	run_threads(write_own_pieces, THREADS);
	kit_read(shared_file, bytes, (size_t)file_size(shared_file), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(bytes[i], 0);
	for (size_t i = 3; i < file_size(shared_file); i++)
		assert_int_equal(bytes[i], (i - 3) / 13 % THREADS + 1);
	file_close(shared_file);
}

/* Writers fill whole pages with one value; a reader must never see anything but such values. */
static void *write_or_read_pages(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	uint8_t page[2 * SECTOR];
	const uint8_t *data;

	for (unsigned round = 1; round < 1500; round++) {
		size_t at = round % 5 * sizeof(page);

		if (me % 2 == 0) {
			memset(page, (int)(1 + (round * 7 + me) % 255), sizeof(page));
			if (file_write(shared_file, kit_room(), page, sizeof(page), at) !=
			    (ssize_t)sizeof(page))
				return because("write failed");
			continue;
		}
		if (file_read(shared_file, kit_room(), sizeof(page), at, &data) !=
		    (ssize_t)sizeof(page))
			return because("read failed");
		for (size_t i = 1; i < sizeof(page); i++)
			if (data[i] != data[0])
				return because("torn read");
	}
	return NULL;
}

static void reads_are_never_torn(void **state)
{
	static uint8_t bytes[10 * SECTOR];

	(void)state;
	shared_file = open_temporary();
	memset(bytes, 1, sizeof(bytes));
	kit_write(shared_file, bytes, sizeof(bytes), 0);
	run_threads(write_or_read_pages, THREADS);
	file_close(shared_file);
}

/* Everything at once; what is checked is that nothing decrypts to noise, hangs or races. */
static void *do_anything(void *arg)
{
	unsigned x = (unsigned)(uintptr_t)arg * 2654435761u + 12345;
	uint8_t ones[9000];
	const uint8_t *data;

	memset(ones, 1, sizeof(ones));
	for (unsigned round = 0; round < 2500; round++) {
		uint64_t off = (x >> 8) % 30000, len = 1 + (x >> 4) % 8999;
		ssize_t n = 0;

		x = x * 1664525u + 1013904223u;
		switch (x >> 28) {
		case 0:
			n = file_truncate(shared_file, off);
			break;
		case 1:
			n = file_allocate(shared_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					  off, len);
			break;
		case 2:
			n = file_allocate(shared_file, 0, off, len);
			break;
		case 3:
			n = file_sync(shared_file, true);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
			n = file_write(shared_file, kit_room(), ones, len, off);
			break;
		default:
			n = file_read(shared_file, kit_room(), len, off, &data);
			for (ssize_t i = 0; i < n; i++)
				if (data[i] != 0 && data[i] != 1)
					return because("noise");
		}
		if (n < 0)
			return because("failed");
	}
	return NULL;
}

static void anything_at_once_gives_no_noise(void **state)
{
	(void)state;
	shared_file = open_temporary();
	run_threads(do_anything, THREADS);
	file_close(shared_file);
}

/* A table whose writes to the first sector wait until they are let go. */
static sem_t entered, let_go;
static struct sysio slow_sysio;

static ssize_t slow_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (off == FILE_HEADER_LEN) {
		sem_post(&entered);
		sem_wait(&let_go);
	}
	return sysio_kernel.pwrite(fd, buf, len, off);
}

static void *write_first_sector(void *arg)
{
	uint8_t sector[SECTOR] = { 1 };

	(void)arg;
	return file_write(shared_file, kit_room(), sector, SECTOR, 0) == SECTOR ? NULL
										: because("failed");
}

/* While one sector's write hangs, others are written and read. */
static void overwrites_of_different_sectors_do_not_wait(void **state)
{
	static uint8_t bytes[4 * SECTOR];
	int fd = temporary_file();
	pthread_t thread;
	void *result;

	(void)state;
	assert_true(fd >= 0);
	sem_init(&entered, 0, 0);
	sem_init(&let_go, 0, 1); /* the creation below passes */
	slow_sysio = sysio_kernel;
	slow_sysio.pwrite = slow_pwrite;
	assert_int_equal(file_open(kit_context(&slow_sysio), fd, 1, 0, &shared_file), 0);
	memset(bytes, 7, sizeof(bytes));
	kit_write(shared_file, bytes, sizeof(bytes), 0);
	sem_wait(&entered);
	assert_int_equal(pthread_create(&thread, NULL, write_first_sector, NULL), 0);
	sem_wait(&entered); /* it is inside pwrite now, and holds its sector */
	kit_write(shared_file, bytes, SECTOR, SECTOR);
	kit_read(shared_file, bytes, 2 * SECTOR, 2 * SECTOR);
	assert_int_equal(bytes[0], 7);
	sem_post(&let_go);
	pthread_join(thread, &result);
	assert_null(result);
	file_close(shared_file);
}

static int teardown(void **state)
{
	(void)state;
	kit_release();
	return secret_count() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(different_sectors_do_not_wait),
		cmocka_unit_test(readers_share_and_writers_exclude),
		cmocka_unit_test(requests_are_served_in_order),
		cmocka_unit_test(partial_writes_do_not_lose_each_other),
		cmocka_unit_test(reads_are_never_torn),
		cmocka_unit_test(anything_at_once_gives_no_noise),
		cmocka_unit_test(overwrites_of_different_sectors_do_not_wait),
	};

	return cmocka_run_group_tests_name("file threads", tests, NULL, teardown);
}
