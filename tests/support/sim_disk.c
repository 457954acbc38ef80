/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated disk; see sim_disk.h. Files are small: everything is copied. */
#include "sim_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM	((size_t)1 << 17)
#define PIECE	512
#define PAGE	4096
#define PAGES	(ROOM / PAGE)
#define LOG_MAX 4096

/* One thing that happened since the last sync: bytes, or a new length. */
struct event {
	bool is_length;
	size_t off, len; /* of bytes; `len` is the new length otherwise */
	uint8_t *bytes;
};

struct image {
	uint8_t bytes[ROOM]; /* zero past len */
	size_t len;
	bool allocated[PAGES];
	size_t reserved; /* end of what fallocate(2) reserved past len */
};

struct sim_state {
	struct image now, durable;
	struct event log[LOG_MAX];
	size_t nlog;
	unsigned changes, syncs, changes_at_sync;
	unsigned reads;
};

static struct sim_state sim;

static struct {
	unsigned countdown; /* 0: off */
	int error;
	bool for_ever, hit;
	bool stopping, dead;
	unsigned changes_left;
} fault;

static void clear_log(struct sim_state *s)
{
	for (size_t i = 0; i < s->nlog; i++)
		free(s->log[i].bytes);
	s->nlog = 0;
}

void sim_reset(void)
{
	clear_log(&sim);
	memset(&sim, 0, sizeof(sim));
	memset(&fault, 0, sizeof(fault));
}

void sim_fail(unsigned n, int error, bool for_ever)
{
	memset(&fault, 0, sizeof(fault));
	fault.countdown = n;
	fault.error = error;
	fault.for_ever = for_ever;
}

void sim_stop_after(unsigned n)
{
	memset(&fault, 0, sizeof(fault));
	fault.stopping = true;
	fault.changes_left = n;
}

bool sim_disarm(void)
{
	bool hit = fault.hit;

	memset(&fault, 0, sizeof(fault));
	return hit;
}

unsigned sim_changes(void)
{
	return sim.changes;
}

unsigned sim_reads(void)
{
	return sim.reads;
}

unsigned sim_syncs(void)
{
	return sim.syncs;
}

unsigned sim_changes_at_sync(void)
{
	return sim.changes_at_sync;
}

const uint8_t *sim_bytes(size_t *ret_len)
{
	*ret_len = sim.now.len;
	return sim.now.bytes;
}

void sim_set(const uint8_t *bytes, size_t len)
{
	assert(len <= ROOM);
	clear_log(&sim);
	memset(&sim.now, 0, sizeof(sim.now));
	memcpy(sim.now.bytes, bytes, len);
	sim.now.len = len;
	for (size_t i = 0; i * PAGE < len; i++)
		sim.now.allocated[i] = true;
	sim.durable = sim.now;
}

/* 0: go on; else the error to answer. Counts every call. */
static int meet_fault(bool changes)
{
	if (fault.dead || (fault.stopping && changes && fault.changes_left == 0)) {
		fault.dead = fault.hit = true;
		return -EIO;
	}
	if (fault.stopping && changes)
		fault.changes_left--;
	if (fault.countdown > 1)
		fault.countdown--;
	else if (fault.countdown == 1) {
		fault.hit = true;
		if (!fault.for_ever)
			fault.countdown = 0;
		return fault.error;
	}
	if (changes)
		sim.changes++;
	return 0;
}

static void log_event(bool is_length, size_t off, size_t len, const uint8_t *bytes)
{
	struct event *e = &sim.log[sim.nlog++];

	assert(sim.nlog < LOG_MAX);
	*e = (struct event){ .is_length = is_length, .off = off, .len = len };
	if (bytes) {
		e->bytes = malloc(len);
		assert(e->bytes);
		memcpy(e->bytes, bytes, len);
	}
}

static void image_set_len(struct image *i, size_t len)
{
	if (len < i->len) {
		memset(i->bytes + len, 0, i->len - len);
		for (size_t page = (len + PAGE - 1) / PAGE; page < PAGES; page++)
			i->allocated[page] = false;
	}
	i->len = len;
}

static void image_write(struct image *i, size_t off, const uint8_t *bytes, size_t len)
{
	memcpy(i->bytes + off, bytes, len);
	for (size_t page = off / PAGE; page * PAGE < off + len; page++)
		i->allocated[page] = true;
}

/* The disk takes whole sectors, as they stand in the page cache. */
static void log_sector(size_t at)
{
	log_event(false, at, PIECE, sim.now.bytes + at);
}

/* Write with the lengths that a file system passes through, page by page. */
static void change_bytes(size_t off, const uint8_t *bytes, size_t len)
{
	size_t end = off + len;

	assert(end <= ROOM);
	image_write(&sim.now, off, bytes, len);
	for (size_t at = off / PIECE * PIECE; at < end; at += PIECE) {
		size_t stop = at + PIECE < end ? at + PIECE : end;

		log_sector(at);
		if ((stop % PAGE == 0 || stop == end) && stop > sim.now.len) {
			sim.now.len = stop;
			log_event(true, 0, stop, NULL);
		}
	}
}

/* A shorter length clears the rest of its page in the cache, which is then to be written. */
static void change_length(size_t len)
{
	size_t page_end = (len + PAGE - 1) / PAGE * PAGE;
	bool shorter = len < sim.now.len;

	image_set_len(&sim.now, len);
	log_event(true, 0, len, NULL);
	for (size_t at = len / PIECE * PIECE; shorter && at < page_end; at += PIECE)
		log_sector(at);
}

static int sim_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	(void)dirfd, (void)path, (void)flags, (void)mode;
	return -ENOSYS;
}

static int sim_close(int fd)
{
	assert(fd == SIM_FD);
	return 0;
}

static ssize_t sim_pread(int fd, void *buf, size_t len, off_t off)
{
	int r = meet_fault(false);

	(void)fd;
	sim.reads++;
	if (r < 0)
		return r;
	if ((size_t)off >= sim.now.len)
		return 0;
	if (len > sim.now.len - (size_t)off)
		len = sim.now.len - (size_t)off;
	memcpy(buf, sim.now.bytes + off, len);
	return (ssize_t)len;
}

/* The kernel checks for fatal signals between the pages of a write. */
static bool dies_at_this_page(size_t at, off_t off)
{
	if (!fault.stopping || at == (size_t)off)
		return false;
	if (fault.changes_left == 0)
		fault.dead = fault.hit = true;
	else
		fault.changes_left--;
	return fault.dead;
}

static ssize_t sim_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	int r = meet_fault(true);

	(void)fd;
	if (r < 0)
		return r;
	for (size_t at = (size_t)off, end = at + len, stop; at < end; at = stop) {
		stop = (at / PAGE + 1) * PAGE < end ? (at / PAGE + 1) * PAGE : end;
		if (dies_at_this_page(at, off))
			return -EIO;
		change_bytes(at, (const uint8_t *)buf + (at - (size_t)off), stop - at);
	}
	return (ssize_t)len;
}

static int sim_ftruncate(int fd, off_t len)
{
	int r = meet_fault(true);

	(void)fd;
	if (r < 0)
		return r;
	if ((size_t)len <= sim.now.len)
		sim.now.reserved = 0;
	change_length((size_t)len);
	return 0;
}

static int sim_fallocate(int fd, int mode, off_t off, off_t len)
{
	static const uint8_t zeros[ROOM];
	size_t start = (size_t)off, end = (size_t)(off + len);
	int r = meet_fault(true);

	(void)fd;
	if (r < 0)
		return r;
	assert(mode & FALLOC_FL_KEEP_SIZE);
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
		if (end > sim.now.reserved)
			sim.now.reserved = end;
		return 0;
	}
	if (end > sim.now.len)
		end = sim.now.len;
	if (start >= end)
		return 0;
	change_bytes(start, zeros, end - start);
	for (size_t page = (start + PAGE - 1) / PAGE; (page + 1) * PAGE <= end; page++)
		sim.now.allocated[page] = false;
	return 0;
}

static off_t sim_lseek(int fd, off_t off, int whence)
{
	size_t at = (size_t)off;
	int r = meet_fault(false);

	(void)fd;
	if (r < 0)
		return r;
	if (whence == SEEK_END)
		return (off_t)sim.now.len;
	assert(whence == SEEK_DATA || whence == SEEK_HOLE);
	if (at >= sim.now.len)
		return -ENXIO;
	while (at < sim.now.len && sim.now.allocated[at / PAGE] != (whence == SEEK_DATA))
		at = (at / PAGE + 1) * PAGE;
	if (at >= sim.now.len)
		return whence == SEEK_DATA ? -ENXIO : (off_t)sim.now.len;
	return (off_t)at;
}

static int sim_fsync(int fd)
{
	int r = meet_fault(false);

	(void)fd;
	sim.syncs++;
	if (r < 0)
		return r;
	sim.durable = sim.now;
	sim.changes_at_sync = sim.changes;
	clear_log(&sim);
	return 0;
}

static int sim_sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
	(void)fd, (void)off, (void)len, (void)flags;
	return meet_fault(false);
}

static int sim_fadvise(int fd, off_t off, off_t len, int advice)
{
	(void)fd, (void)off, (void)len, (void)advice;
	return meet_fault(false);
}

static off_t sim_allocated_end(int fd, off_t off)
{
	(void)fd;
	return (off_t)(sim.now.reserved > (size_t)off ? sim.now.reserved : 0);
}

void sim_power_cut(unsigned (*random)(unsigned below))
{
	struct image *disk = malloc(sizeof(*disk));
	size_t lengths = 0, keep, seen = 0;

	assert(disk);
	*disk = sim.durable;
	for (size_t i = 0; i < sim.nlog; i++)
		lengths += sim.log[i].is_length;
	keep = random((unsigned)lengths + 1); /* lengths are metadata: a prefix of their order */
	for (size_t i = 0; i < sim.nlog; i++) {
		const struct event *e = &sim.log[i];

		if (!e->is_length && random(2))
			image_write(disk, e->off, e->bytes, e->len);
		if (e->is_length && seen++ < keep)
			image_set_len(disk, e->len);
	}
	memset(disk->bytes + disk->len, 0, ROOM - disk->len);
	clear_log(&sim);
	sim.now = sim.durable = *disk;
	sim.now.reserved = sim.durable.reserved = 0;
	free(disk);
}

struct sim_state *sim_save(void)
{
	struct sim_state *s = malloc(sizeof(*s));

	assert(s);
	*s = sim;
	for (size_t i = 0; i < s->nlog; i++) {
		if (!s->log[i].bytes)
			continue;
		s->log[i].bytes = malloc(s->log[i].len);
		assert(s->log[i].bytes);
		memcpy(s->log[i].bytes, sim.log[i].bytes, s->log[i].len);
	}
	return s;
}

void sim_restore(const struct sim_state *s)
{
	clear_log(&sim);
	sim = *s;
	for (size_t i = 0; i < sim.nlog; i++) {
		if (!sim.log[i].bytes)
			continue;
		sim.log[i].bytes = malloc(sim.log[i].len);
		assert(sim.log[i].bytes);
		memcpy(sim.log[i].bytes, s->log[i].bytes, sim.log[i].len);
	}
}

void sim_state_free(struct sim_state *s)
{
	if (!s)
		return;
	clear_log(s);
	free(s);
}

const struct sysio sim_sysio = {
	.name = "simulated disk",
	.openat = sim_openat,
	.close = sim_close,
	.pread = sim_pread,
	.pwrite = sim_pwrite,
	.ftruncate = sim_ftruncate,
	.fallocate = sim_fallocate,
	.lseek = sim_lseek,
	.fsync = sim_fsync,
	.fdatasync = sim_fsync,
	.sync_file_range = sim_sync_file_range,
	.fadvise = sim_fadvise,
	.allocated_end = sim_allocated_end,
};
