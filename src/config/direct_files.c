/* SPDX-License-Identifier: Apache-2.0 */
/* direct_files: which files pass the page cache by, by the names they are first seen under. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"

#define SEPARATORS	     " \t"
#define DIRECT_FILES_DEFAULT "none" /* what holds where tdefs.conf says nothing */

#define HEX_DIGIT "[0-9A-F]"
#define EIGHT_HEX_DIGITS                                                                           \
	HEX_DIGIT HEX_DIGIT HEX_DIGIT HEX_DIGIT HEX_DIGIT HEX_DIGIT HEX_DIGIT HEX_DIGIT
#define POSTGRESQL_WAL_NAME EIGHT_HEX_DIGITS EIGHT_HEX_DIGITS EIGHT_HEX_DIGITS

/*
 * "default": logs of engines that make each commit wait for a write and an fsync
 * of them, read them in recovery only, and never map them shared. For these a
 * page cache is a detour. Every name that a log has before it is one belongs
 * here too, for a file stays what it was first seen as.
 *
 * Not here, as the page cache serves them better: SQLite's -wal (two small writes
 * a frame, read by every reader; its -shm is mapped shared, and cannot be
 * direct at all), RocksDB's *.log (many small appends, seldom synced).
 */
static const char *const by_engine[] = {
	/* PostgreSQL: WAL segments, as they are made, and as a receiver of them writes them. */
	"xlogtemp.*",
	POSTGRESQL_WAL_NAME,
	POSTGRESQL_WAL_NAME ".partial",
	/* MariaDB and MySQL: InnoDB's redo log, before and since MySQL 8.0.30. */
	"ib_logfile*",
	"#ib_redo*",
	/* MongoDB: WiredTiger's journal; it is prepared, or written anew, under the other two. */
	"WiredTigerLog.*",
	"WiredTigerPreplog.*",
	"WiredTigerTmplog.*",
};

/* The next word of a list, which moves on; false: that was all. */
static bool next_word(const char **at, char ret_word[static DIRECT_PATTERN_MAX + 2])
{
	size_t len;

	*at += strspn(*at, SEPARATORS);
	len = strcspn(*at, SEPARATORS);
	(void)snprintf(ret_word, DIRECT_PATTERN_MAX + 2, "%.*s", (int)len, *at);
	*at += len;
	return len > 0;
}

static bool is_word(const char *word, const char *text)
{
	return strcmp(word, text) == 0;
}

/* Patterns of names, "default" among them or not; or "none", alone. */
static bool is_valid(const char *list)
{
	char word[DIRECT_PATTERN_MAX + 2];
	size_t words = 0;
	bool none = false;

	for (; next_word(&list, word); words++) {
		none |= is_word(word, "none");
		if (strlen(word) > DIRECT_PATTERN_MAX || strchr(word, '/'))
			return false;
	}
	return words == 1 || (words > 1 && !none);
}

/* A line has room for some patterns, so that there may be several lines. */
static int read_patterns(const char *text, const struct config_key *key, void *field)
{
	char **list = field;
	CLEANUP_FREE char *all = NULL;

	(void)key;
	if (asprintf(&all, "%s%s%s", *list ? *list : "", *list ? " " : "", text) < 0) {
		all = NULL;
		return -ENOMEM;
	}
	return is_valid(all) ? value_replace_string(list, all) : -EINVAL;
}

const struct value_kind value_patterns = { .read = read_patterns, .adds = true };

static bool engine_has(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_engine); i++)
		if (fnmatch(by_engine[i], name, 0) == 0)
			return true;
	return false;
}

const char *settings_direct_files(const struct settings *s)
{
	return s->direct_files ? s->direct_files : DIRECT_FILES_DEFAULT;
}

bool settings_is_direct(const struct settings *s, const char *name)
{
	const char *list = settings_direct_files(s);
	char word[DIRECT_PATTERN_MAX + 2];

	if (is_word(list, "none"))
		return false;
	while (next_word(&list, word))
		if (is_word(word, "default") ? engine_has(name) : fnmatch(word, name, 0) == 0)
			return true;
	return false;
}
