/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: random sequences of every data operation on two files at once,
 * one on the mount and one on a plain file system; after each they must agree,
 * in results, errno, size and bytes. Several handles, mappings and O_DIRECT are
 * mixed; caches are dropped; the mount is unmounted and mounted again by a
 * command of the caller's.
 *
 * usage: oracle DIR_ON_MOUNT PLAIN_DIR SEED OPERATIONS REMOUNT_COMMAND [unmapped]
 *
 * "unmapped": without mappings, which a direct file cannot have.
 *
 * Bytes are never stored through a mapping beyond the end of the file: Linux
 * up to 7.2 shows them when the file grows (test_oracle.py shows it).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST	      (300 * 1024)
#define PAGE	      4096
#define HANDLES	      3
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum handle_kind { BUFFERED, DIRECT, APPEND };

/* One of the two sides. */
struct side {
	const char *name;
	char path[512];
	int fd[HANDLES];
	uint8_t *map; /* MOST bytes, or NULL */
};

static struct side sides[2] = { { .name = "mount" }, { .name = "plain" } };
static uint64_t random_state;
static bool unmapped;
static unsigned long step;
static const char *operation = "start";
static _Alignas(PAGE) uint8_t data[MOST + PAGE], seen[2][MOST + PAGE];

static unsigned draw(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return below ? (unsigned)((random_state >> 20) % below) : 0;
}

static void die(const char *what, long mount, long plain)
{
	fprintf(stderr, "oracle: step %lu, %s: %s: mount %ld, plain %ld\n", step, operation, what,
		mount, plain);
	exit(1);
}

/* Run `expression` on both sides; results and errno must agree. */
#define BOTH(what, expression)                                                                     \
	({                                                                                         \
		long result_[2], error_[2];                                                        \
                                                                                                   \
		for (int i_ = 0; i_ < 2; i_++) {                                                   \
			struct side *s = &sides[i_];                                               \
                                                                                                   \
			errno = 0;                                                                 \
			result_[i_] = (long)(expression);                                          \
			error_[i_] = result_[i_] < 0 ? errno : 0;                                  \
		}                                                                                  \
		if (result_[0] != result_[1])                                                      \
			die(what, result_[0], result_[1]);                                         \
		if (error_[0] != error_[1])                                                        \
			die(what " errno", error_[0], error_[1]);                                  \
		result_[1];                                                                        \
	})

static off_t size_now(void)
{
	struct stat st;

	if (fstat(sides[1].fd[BUFFERED], &st) < 0)
		die("fstat", -1, -1);
	return st.st_size;
}

static size_t random_offset(void)
{
	size_t size = (size_t)size_now();

	switch (draw(4)) {
	case 0:
		return draw(MOST - 1);
	case 1:
		return draw(MOST / PAGE) * PAGE + draw(40);
	case 2:
		return size > 30 && size < MOST - 40 ? size - 30 + draw(60) : draw(60);
	default:
		return draw(MOST / 16) * 16 % (MOST - 1);
	}
}

static size_t random_length(size_t off)
{
	size_t len = draw(4) == 0 ? 1 + draw(70000) : 1 + draw(200);

	return len < MOST - off ? len : MOST - off;
}

static void fill(size_t len)
{
	unsigned seed = draw(1 << 30);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)((i + seed) * 2654435761u >> 13);
}

static void op_write(void)
{
	size_t off = random_offset(), len = random_length(off);

	fill(len);
	BOTH("pwrite", pwrite(s->fd[BUFFERED], data, len, (off_t)off));
}

static void op_write_direct(void)
{
	size_t off = draw(MOST / PAGE) * PAGE, len = (1 + draw(8)) * PAGE;

	if (off + len > MOST)
		len = MOST / PAGE * PAGE - off;
	if (len == 0)
		return;
	fill(len);
	BOTH("pwrite O_DIRECT", pwrite(s->fd[DIRECT], data, len, (off_t)off));
}

static void op_append(void)
{
	size_t len = 1 + draw(3000);

	if (size_now() + (off_t)len > MOST)
		return;
	fill(len);
	BOTH("write O_APPEND", write(s->fd[APPEND], data, len));
}

static void compare(size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (seen[0][i] != seen[1][i])
			die("byte differs", (long)i, seen[0][i] << 8 | seen[1][i]);
}

static void read_both(enum handle_kind kind, size_t off, size_t len)
{
	long n = BOTH("pread", pread(s->fd[kind], seen[s - sides], len, (off_t)off));

	if (n > 0)
		compare((size_t)n);
}

static void op_read(void)
{
	size_t off = random_offset();

	read_both(BUFFERED, off, random_length(off));
}

static void op_read_direct(void)
{
	read_both(DIRECT, draw(MOST / PAGE) * PAGE, (1 + draw(8)) * PAGE);
}

static void op_truncate(void)
{
	off_t size = (off_t)random_offset();

	if (draw(2))
		BOTH("ftruncate", ftruncate(s->fd[BUFFERED], size));
	else
		BOTH("truncate", truncate(s->path, size));
}

static void op_allocate(void)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[draw(ARRAY_SIZE(modes))];
	size_t off = random_offset(), len = random_length(off);

	BOTH("fallocate", fallocate(s->fd[BUFFERED], mode, (off_t)off, (off_t)len));
}

/* The part of [off, off + len) that lies inside the file, for mappings. */
static size_t mapped_length(size_t off)
{
	size_t size = (size_t)size_now(), len = random_length(off);

	if (!sides[0].map || off >= size)
		return 0;
	return len < size - off ? len : size - off;
}

static void op_store_mapped(void)
{
	size_t off = random_offset(), len = mapped_length(off);

	fill(len);
	for (int i = 0; i < 2 && len; i++)
		memcpy(sides[i].map + off, data, len);
	if (len && draw(3) == 0)
		BOTH("msync", msync(s->map + off / PAGE * PAGE, len + off % PAGE, MS_SYNC));
}

static void op_load_mapped(void)
{
	size_t off = random_offset(), len = mapped_length(off);

	for (int i = 0; i < 2 && len; i++)
		memcpy(seen[i], sides[i].map + off, len);
	compare(len);
}

static void unmap(void)
{
	for (int i = 0; i < 2; i++) {
		if (sides[i].map)
			munmap(sides[i].map, MOST);
		sides[i].map = NULL;
	}
}

static void op_map(void)
{
	unmap();
	if (draw(3) == 0 || unmapped)
		return;
	for (int i = 0; i < 2; i++) {
		sides[i].map = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED,
				    sides[i].fd[BUFFERED], 0);
		if (sides[i].map == MAP_FAILED)
			die("mmap", i, errno);
	}
}

static void op_sync(void)
{
	if (draw(2))
		BOTH("fsync", fsync(s->fd[BUFFERED]));
	else
		BOTH("fdatasync", fdatasync(s->fd[BUFFERED]));
}

static void open_handles(int more)
{
	static const int flags[HANDLES] = { [BUFFERED] = O_RDWR | O_CREAT,
					    [DIRECT] = O_RDWR | O_DIRECT,
					    [APPEND] = O_WRONLY | O_APPEND };

	for (int i = 0; i < 2; i++) {
		for (int h = 0; h < HANDLES; h++) {
			int extra = h == 0 ? more : 0;

			sides[i].fd[h] = open(sides[i].path, flags[h] | extra | O_CLOEXEC, 0600);
			if (sides[i].fd[h] < 0)
				die("open", i, errno);
		}
	}
}

static void close_handles(void)
{
	unmap();
	for (int h = 0; h < HANDLES; h++)
		BOTH("close", close(s->fd[h]));
}

static void op_reopen(void)
{
	close_handles();
	open_handles(draw(20) == 0 ? O_TRUNC : 0);
}

static void op_drop_caches(void)
{
	BOTH("fadvise", posix_fadvise(s->fd[BUFFERED], 0, 0, POSIX_FADV_DONTNEED));
}

static void op_stat(void)
{
	BOTH("size", ({
		     struct stat st;
		     fstat(s->fd[APPEND], &st) < 0 ? -1 : st.st_size;
	     }));
	BOTH("SEEK_END", lseek(s->fd[BUFFERED], 0, SEEK_END));
}

/* Holes need not agree, but data must never be called a hole. */
static void op_seek(void)
{
	off_t at = (off_t)random_offset(), size = size_now();
	off_t found = lseek(sides[0].fd[BUFFERED], at, SEEK_DATA);
	off_t until = found < 0 ? size : found;

	if (found < 0 && errno != ENXIO)
		die("SEEK_DATA", errno, 0);
	if (until > at) {
		long n = pread(sides[1].fd[BUFFERED], seen[1], (size_t)(until - at), at);

		for (long i = 0; i < n; i++)
			if (seen[1][i])
				die("data in a hole", (long)at + i, seen[1][i]);
	}
}

static const struct {
	const char *name;
	unsigned weight;
	void (*run)(void);
} operations[] = {
	{ "write", 20, op_write },
	{ "write O_DIRECT", 8, op_write_direct },
	{ "append", 8, op_append },
	{ "read", 20, op_read },
	{ "read O_DIRECT", 8, op_read_direct },
	{ "truncate", 6, op_truncate },
	{ "fallocate", 10, op_allocate },
	{ "store through a mapping", 10, op_store_mapped },
	{ "load through a mapping", 8, op_load_mapped },
	{ "map", 2, op_map },
	{ "sync", 3, op_sync },
	{ "reopen", 1, op_reopen },
	{ "drop caches", 2, op_drop_caches },
	{ "stat", 6, op_stat },
	{ "seek", 3, op_seek },
};

static void run_one(void)
{
	unsigned total = 0, pick;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		total += operations[i].weight;
	pick = draw(total);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (pick < operations[i].weight) {
			operation = operations[i].name;
			operations[i].run();
			return;
		}
		pick -= operations[i].weight;
	}
}

static void compare_all(void)
{
	operation = "compare all";
	BOTH("size", ({
		     struct stat st;
		     fstat(s->fd[BUFFERED], &st) < 0 ? -1 : st.st_size;
	     }));
	read_both(BUFFERED, 0, MOST);
}

static void remount(const char *command)
{
	operation = "remount";
	close_handles();
	if (system(command) != 0) /* NOLINT(cert-env33-c): the test's own command */
		die("the remount command failed", 0, 0);
	open_handles(0);
	compare_all();
}

int main(int argc, char **argv)
{
	unsigned long count;

	unmapped = argc == 7 && strcmp(argv[6], "unmapped") == 0;
	if (argc != 6 && !unmapped) {
		fputs("usage: oracle DIR_ON_MOUNT PLAIN_DIR SEED OPERATIONS REMOUNT_COMMAND "
		      "[unmapped]\n",
		      stderr);
		return 2;
	}
	for (int i = 0; i < 2; i++)
		(void)snprintf(sides[i].path, sizeof(sides[i].path), "%s/oracle", argv[1 + i]);
	random_state = strtoull(argv[3], NULL, 10) * 2 + 1;
	count = strtoul(argv[4], NULL, 10);
	printf("oracle: seed %s, %lu operations\n", argv[3], count);
	open_handles(O_TRUNC);
	for (step = 1; step <= count; step++) {
		run_one();
		if (step % 64 == 0)
			compare_all();
		if (step % (count / 8 + 1) == 0)
			remount(argv[5]);
	}
	compare_all();
	close_handles();
	return 0;
}
