/* SPDX-License-Identifier: Apache-2.0 */
/* See power_cut.h. */
#include "power_cut.h"

#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE	  512
#define FILE_MAX  ((size_t)1 << 16)
#define LOG_MAX	  4096
#define NAMES_MAX 64
#define FILES_MAX 512
#define PATH_ROOM 256

enum what { MAKE, MAKE_DIR, RENAME, REMOVE, WRITE, LENGTH, SYNC_FILE, SYNC_DIR };

struct change {
	enum what what;
	char path[PATH_ROOM], to[PATH_ROOM]; /* below the root; of names */
	unsigned file;
	size_t off, len;
	uint8_t *bytes;
};

struct name {
	char path[PATH_ROOM];
	unsigned file; /* 0: a directory */
};

struct image {
	uint8_t *bytes;
	size_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static bool recording;
static char root[PATH_ROOM];
static struct change changes[LOG_MAX];
static size_t nchanges;
static struct name first_names[NAMES_MAX];
static size_t nfirst;
static struct image first[FILES_MAX]; /* by file, from 1 */
static ino_t inodes[FILES_MAX];	      /* the last file with a number is the one that has it */
static unsigned nfiles;

static struct change *record(enum what what)
{
	struct change *c = &changes[nchanges++];

	assert(nchanges < LOG_MAX);
	*c = (struct change){ .what = what };
	return c;
}

static unsigned new_file(ino_t inode)
{
	assert(nfiles + 1 < FILES_MAX);
	inodes[++nfiles] = inode;
	return nfiles;
}

/* 0: not one of ours. */
static unsigned file_of(int fd)
{
	struct stat st;

	assert(fstat(fd, &st) == 0);
	for (unsigned f = nfiles; f > 0 && S_ISREG(st.st_mode); f--)
		if (inodes[f] == st.st_ino)
			return f;
	return 0;
}

/* The path below the root of `name` in `dirfd`; false: it is elsewhere. */
static bool below_root(int dirfd, const char *name, char ret[static PATH_ROOM])
{
	char link[64], path[PATH_MAX] = "";
	size_t len = strlen(root);
	ssize_t n = 0;

	if (dirfd != AT_FDCWD && name[0] != '/') {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(link, path, sizeof(path) - 1);
		if (n < 0)
			return false;
	}
	path[n] = '\0';
	if (strcmp(name, ".") != 0)
		(void)snprintf(path + n, sizeof(path) - (size_t)n, "%s%s", n ? "/" : "", name);
	if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return false;
	(void)snprintf(ret, PATH_ROOM, "%s", path[len] ? path + len + 1 : "");
	return true;
}

static int first_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct name *n = &first_names[nfirst];
	struct image *image;
	FILE *f;

	(void)ftw;
	assert(nfirst + 1 < NAMES_MAX);
	if (!below_root(AT_FDCWD, path, n->path) || !n->path[0])
		return 0;
	n->file = type == FTW_F ? new_file(st->st_ino) : 0;
	nfirst++;
	if (!n->file)
		return 0;
	image = &first[n->file];
	image->bytes = calloc(1, FILE_MAX);
	f = fopen(path, "r");
	assert(image->bytes && f);
	image->len = fread(image->bytes, 1, FILE_MAX, f);
	return fclose(f);
}

static void forget(void)
{
	for (size_t i = 0; i < nchanges; i++)
		free(changes[i].bytes);
	for (size_t i = 0; i < FILES_MAX; i++)
		free(first[i].bytes);
	memset(first, 0, sizeof(first));
	nchanges = nfirst = nfiles = 0;
	recording = false;
}

void power_cut_end(void)
{
	LOCK_SCOPE(&lock);
	forget();
}

size_t power_cut_calls(void)
{
	LOCK_SCOPE(&lock);
	return nchanges;
}

/* Laying out. */

struct layout {
	struct name names[NAMES_MAX];
	size_t nnames;
	struct image files[FILES_MAX];
};

static struct name *find(struct layout *l, const char *path)
{
	for (size_t i = 0; i < l->nnames; i++)
		if (strcmp(l->names[i].path, path) == 0)
			return &l->names[i];
	return NULL;
}

static void remove_name(struct layout *l, const char *path)
{
	struct name *n = find(l, path);

	if (n)
		*n = l->names[--l->nnames];
}

static void set_name(struct layout *l, const char *path, unsigned file)
{
	remove_name(l, path);
	assert(l->nnames < NAMES_MAX);
	(void)snprintf(l->names[l->nnames].path, PATH_ROOM, "%s", path);
	l->names[l->nnames++].file = file;
}

static void apply_name(struct layout *l, const struct change *c)
{
	const struct name *n = find(l, c->path);
	unsigned file = n ? n->file : c->file;

	if (c->what == RENAME)
		remove_name(l, c->path);
	if (c->what == REMOVE)
		remove_name(l, c->path);
	else
		set_name(l, c->what == RENAME ? c->to : c->path,
			 c->what == RENAME ? file : c->file);
}

static void apply_bytes(struct layout *l, const struct change *c, unsigned (*random)(unsigned))
{
	struct image *i = &l->files[c->file];

	if (!i->bytes)
		i->bytes = calloc(1, FILE_MAX);
	assert(i->bytes && c->off + c->len <= FILE_MAX);
	for (size_t at = 0; c->what == WRITE && at < c->len; at += PIECE)
		if (!random || random(2))
			memcpy(i->bytes + c->off + at, c->bytes + at,
			       c->len - at < PIECE ? c->len - at : PIECE);
	if (c->what == LENGTH && c->len < i->len)
		memset(i->bytes + c->len, 0, i->len - c->len);
	if (c->what == LENGTH)
		i->len = c->len;
	else if (c->off + c->len > i->len && (!random || random(4)))
		i->len = c->off + c->len;
}

static bool is_name(const struct change *c)
{
	return c->what <= REMOVE;
}

static bool is_bytes(const struct change *c)
{
	return c->what == WRITE || c->what == LENGTH;
}

static size_t directory_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static bool in_directory(const struct change *c, const char *dir, size_t len)
{
	return is_name(c) && directory_len(c->path) == len && strncmp(c->path, dir, len) == 0;
}

/* Was change `i` made safe by one of those before `n`? */
static bool is_synced(size_t i, size_t n)
{
	const struct change *c = &changes[i];
	size_t len = directory_len(c->path);

	for (size_t j = i + 1; j < n; j++) {
		const struct change *s = &changes[j];

		if (s->what == SYNC_FILE && is_bytes(c) && s->file == c->file)
			return true;
		if (s->what == SYNC_DIR && is_name(c) && strlen(s->path) == len &&
		    strncmp(s->path, c->path, len) == 0)
			return true;
	}
	return false;
}

/* Names of a directory that are not safe: a first part of them happened all the same. */
static void apply_names(struct layout *l, size_t n, unsigned (*random)(unsigned))
{
	bool seen[LOG_MAX] = { false };

	for (size_t i = 0; i < n; i++) {
		const struct change *c = &changes[i];
		size_t len = directory_len(c->path), unsafe = 0, keep, at = 0;

		if (!is_name(c) || seen[i])
			continue;
		for (size_t j = i; j < n; j++)
			unsafe += in_directory(&changes[j], c->path, len) && !is_synced(j, n);
		keep = random ? random((unsigned)unsafe + 1) : unsafe;
		for (size_t j = i; j < n; j++) {
			if (!in_directory(&changes[j], c->path, len))
				continue;
			seen[j] = true;
			if (is_synced(j, n) || at++ < keep)
				apply_name(l, &changes[j]);
		}
	}
}

static ino_t put_file(const char *path, const struct image *image)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert(fd >= 0);
	assert(image->len == 0 || pwrite(fd, image->bytes, image->len, 0) == (ssize_t)image->len);
	assert(fstat(fd, &st) == 0);
	assert(close(fd) == 0);
	return st.st_ino;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type;
	return ftw->level == 0 ? 0 : remove(path);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

/* A name whose directory is lost is lost with it. */
static void put(struct layout *l)
{
	memset(inodes, 0, sizeof(inodes));
	assert(nftw(root, remove_one, 8, FTW_PHYS | FTW_DEPTH) == 0);
	qsort(l->names, l->nnames, sizeof(l->names[0]), by_path);
	for (size_t i = 0; i < l->nnames; i++) {
		const struct name *n = &l->names[i];
		char path[2 * PATH_ROOM + 2], parent[PATH_ROOM];
		size_t len = directory_len(n->path);

		(void)snprintf(parent, sizeof(parent), "%.*s", (int)len, n->path);
		if (len > 0 && !find(l, parent))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", root, n->path);
		if (n->file == 0)
			assert(mkdir(path, 0700) == 0);
		else
			inodes[n->file] = put_file(path, &l->files[n->file]);
	}
}

static void lay_out(size_t n, unsigned (*random)(unsigned))
{
	struct layout *l = calloc(1, sizeof(*l));
	LOCK_SCOPE(&lock);

	assert(l && n <= nchanges);
	memcpy(l->names, first_names, sizeof(first_names));
	l->nnames = nfirst;
	for (unsigned f = 1; f <= nfiles; f++) {
		l->files[f].bytes = calloc(1, FILE_MAX);
		assert(l->files[f].bytes);
		l->files[f].len = first[f].len;
		if (first[f].bytes)
			memcpy(l->files[f].bytes, first[f].bytes, FILE_MAX);
	}
	for (size_t i = 0; i < n; i++)
		if (is_bytes(&changes[i]))
			apply_bytes(l, &changes[i], is_synced(i, n) ? NULL : random);
	apply_names(l, n, random);
	put(l);
	for (unsigned f = 1; f <= nfiles; f++)
		free(l->files[f].bytes);
	free(l);
}

void power_cut_after(size_t n, unsigned (*random)(unsigned below))
{
	lay_out(n, random);
}

void power_cut_kill(size_t n)
{
	lay_out(n, NULL);
	LOCK_SCOPE(&lock);
	while (nchanges > n)
		free(changes[--nchanges].bytes);
}

/* Recording. */

static int cut_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	LOCK_SCOPE(&lock);
	char where[PATH_ROOM];
	bool ours = recording && below_root(dirfd, path, where);
	bool made = ours && (flags & O_CREAT) && faccessat(dirfd, path, F_OK, 0) < 0;
	int fd = sysio_kernel.openat(dirfd, path, flags, mode);

	if (fd >= 0 && made) {
		struct stat st;
		struct change *c = record(MAKE);

		assert(fstat(fd, &st) == 0);
		memcpy(c->path, where, sizeof(where));
		c->file = new_file(st.st_ino);
	}
	assert(fd < 0 || !ours || !(flags & O_TRUNC));
	return fd;
}

static ssize_t cut_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	LOCK_SCOPE(&lock);
	ssize_t n = sysio_kernel.pwrite(fd, buf, len, off);
	unsigned file = recording && n > 0 ? file_of(fd) : 0;

	if (file) {
		struct change *c = record(WRITE);

		c->file = file;
		c->off = (size_t)off;
		c->len = (size_t)n;
		c->bytes = malloc(c->len);
		assert(c->bytes);
		memcpy(c->bytes, buf, c->len);
	}
	return n;
}

static int cut_ftruncate(int fd, off_t len)
{
	LOCK_SCOPE(&lock);
	int r = sysio_kernel.ftruncate(fd, len);
	unsigned file = recording && r == 0 ? file_of(fd) : 0;

	if (file) {
		struct change *c = record(LENGTH);

		c->file = file;
		c->len = (size_t)len;
	}
	return r;
}

static int cut_fsync(int fd)
{
	LOCK_SCOPE(&lock);
	int r = sysio_kernel.fsync(fd);
	char where[PATH_ROOM];
	unsigned file;

	if (r < 0 || !recording)
		return r;
	file = file_of(fd);
	if (file)
		record(SYNC_FILE)->file = file;
	else if (below_root(fd, ".", where))
		memcpy(record(SYNC_DIR)->path, where, sizeof(where));
	return r;
}

static int cut_renameat2(int olddirfd, const char *oldpath, int newdirfd, const char *newpath,
			 unsigned flags)
{
	LOCK_SCOPE(&lock);
	int r = sysio_kernel.renameat2(olddirfd, oldpath, newdirfd, newpath, flags);
	char from[PATH_ROOM], to[PATH_ROOM];

	if (r == 0 && recording && below_root(olddirfd, oldpath, from) &&
	    below_root(newdirfd, newpath, to)) {
		struct change *c = record(RENAME);

		assert((flags & RENAME_EXCHANGE) == 0 && directory_len(from) == directory_len(to));
		memcpy(c->path, from, sizeof(from));
		memcpy(c->to, to, sizeof(to));
	}
	return r;
}

static int cut_unlinkat(int dirfd, const char *path, int flags)
{
	LOCK_SCOPE(&lock);
	int r = sysio_kernel.unlinkat(dirfd, path, flags);
	char where[PATH_ROOM];

	if (r == 0 && recording && below_root(dirfd, path, where))
		memcpy(record(REMOVE)->path, where, sizeof(where));
	return r;
}

static int cut_mkdirat(int dirfd, const char *path, mode_t mode)
{
	LOCK_SCOPE(&lock);
	int r = sysio_kernel.mkdirat(dirfd, path, mode);
	char where[PATH_ROOM];

	if (r == 0 && recording && below_root(dirfd, path, where))
		memcpy(record(MAKE_DIR)->path, where, sizeof(where));
	return r;
}

static int cut_linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath,
		      int flags)
{
	LOCK_SCOPE(&lock);
	int r = sysio_kernel.linkat(olddirfd, oldpath, newdirfd, newpath, flags);
	char where[PATH_ROOM];
	struct stat st;

	if (r < 0 || !recording || !below_root(newdirfd, newpath, where))
		return r;
	assert(fstatat(newdirfd, newpath, &st, AT_SYMLINK_NOFOLLOW) == 0);
	for (unsigned f = nfiles; f > 0; f--)
		if (inodes[f] == st.st_ino) {
			struct change *c = record(MAKE);

			memcpy(c->path, where, sizeof(where));
			c->file = f;
			break;
		}
	return r;
}

static struct sysio table; /* the kernel's, but for what is recorded */

const struct sysio *power_cut_begin(const char *path)
{
	LOCK_SCOPE(&lock);
	forget();
	(void)snprintf(root, sizeof(root), "%s", path);
	assert(nftw(path, first_file, 8, FTW_PHYS) == 0);
	recording = true;
	table = sysio_kernel;
	table.openat = cut_openat;
	table.pwrite = cut_pwrite;
	table.ftruncate = cut_ftruncate;
	table.fsync = table.fdatasync = cut_fsync;
	table.renameat2 = cut_renameat2;
	table.unlinkat = cut_unlinkat;
	table.mkdirat = cut_mkdirat;
	table.linkat = cut_linkat;
	return &table;
}
