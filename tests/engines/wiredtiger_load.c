/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents in a WiredTiger database that is opened, and written, as mongod does: a journal, snappy,
 * checkpoints, a collection and its index in one transaction. Each document is made by its number alone.
 *
 *	wiredtiger_load write DIR FIRST SESSIONS   commits until SIGTERM; prints the numbers of those that are durable
 *	wiredtiger_load check DIR                  compares each document and its index entry, and verifies both
 *	                                           files; prints the numbers
 *
 * As mongod ends at once (exit code 14) when the engine panics, so does this.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wiredtiger.h>

#define COLLECTION     "table:collection"
#define INDEX	       "table:index"
#define APART	       10000000 /* numbers of one session */
#define ROOM	       (256u << 10)
#define SESSIONS_MAX   16
#define EXIT_ABRUPT    14
#define CHECKPOINT_GAP 200000 /* microseconds; mongod: a minute */

/* As mongod 4.2 has them, but for the small cache, out of which pages must go; and every commit is j:true. */
#define OPEN                                                                                       \
	"create,cache_size=16M,session_max=100,eviction=(threads_min=4,threads_max=4),"            \
	"config_base=false,statistics=(fast),"                                                     \
	"log=(enabled=true,archive=true,path=journal,compressor=snappy),"                          \
	"file_manager=(close_idle_time=100000,close_scan_interval=10,close_handle_minimum=250),"   \
	"statistics_log=(wait=0),transaction_sync=(enabled=true,method=fsync),"                    \
	"extensions=[libwiredtiger_snappy.so]"
#define COLLECTION_CONFIG                                                                          \
	"type=file,memory_page_max=10m,split_pct=90,leaf_value_max=64MB,checksum=on,"              \
	"block_compressor=snappy,key_format=q,value_format=u,log=(enabled=true)"
#define INDEX_CONFIG                                                                               \
	"type=file,internal_page_max=16k,leaf_page_max=16k,checksum=on,prefix_compression=true,"   \
	"key_format=S,value_format=q,log=(enabled=true)"

static WT_CONNECTION *connection;
static volatile sig_atomic_t stopping;

static void must(int r, const char *what)
{
	if (r == 0)
		return;
	(void)fprintf(stderr, "%s: %s\n", what, wiredtiger_strerror(r));
	_exit(1);
}

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	(void)fprintf(stderr, "%s\n", what);
	_exit(1);
}

static int on_error(WT_EVENT_HANDLER *handler, WT_SESSION *session, int error, const char *message)
{
	(void)handler;
	(void)session;
	(void)fprintf(stderr, "%s\n", message);
	if (error == WT_PANIC)
		_exit(EXIT_ABRUPT);
	return 0;
}

static int on_message(WT_EVENT_HANDLER *handler, WT_SESSION *session, const char *message)
{
	return on_error(handler, session, 0, message); /* not to where the numbers go */
}

static WT_EVENT_HANDLER on_event = { .handle_error = on_error, .handle_message = on_message };

static WT_SESSION *session_open(void)
{
	WT_SESSION *s = NULL;

	must(connection->open_session(connection, NULL, "isolation=snapshot", &s), "a session");
	return s;
}

static WT_CURSOR *cursor_open(WT_SESSION *s, const char *uri, const char *config)
{
	WT_CURSOR *c = NULL;

	must(s->open_cursor(s, uri, NULL, config, &c), uri);
	return c;
}

static void database_open(const char *directory)
{
	WT_SESSION *s;

	must(wiredtiger_open(directory, &on_event, OPEN, &connection), directory);
	s = session_open();
	must(s->create(s, COLLECTION, COLLECTION_CONFIG), COLLECTION);
	must(s->create(s, INDEX, INDEX_CONFIG), INDEX);
	must(s->close(s, NULL), "a session's end");
}

/* Most are small; some take blocks of their own. The filler cannot be compressed. */
static size_t document_make(int64_t number, uint8_t room[static ROOM])
{
	uint64_t chance = (uint64_t)number * 2654435761u + 1;
	size_t filler = (size_t)(number % 3000) + (number % 50 == 7 ? 200000 : 0);
	size_t len = (size_t)snprintf((char *)room, ROOM,
				      "{ _id: %lld, number: \"4929-1234-5678-9012\" } ",
				      (long long)number);

	for (; filler > 0; filler--) {
		chance ^= chance << 13;
		chance ^= chance >> 7;
		chance ^= chance << 17;
		room[len++] = (uint8_t)chance;
	}
	return len;
}

static void index_key(int64_t number, char ret_key[static 64])
{
	(void)snprintf(ret_key, 64, "4929-1234-5678-9012/%lld", (long long)number);
}

struct writer {
	pthread_t thread;
	int64_t next;
	bool flushes; /* as mongod: the commit does not wait, and then the journal is flushed */
};

static int document_insert(WT_CURSOR *documents, WT_CURSOR *index, int64_t number, uint8_t *room)
{
	char key[64];
	WT_ITEM item = { .data = room, .size = document_make(number, room) };
	int r;

	documents->set_key(documents, number);
	documents->set_value(documents, &item);
	r = documents->insert(documents);
	if (r != 0)
		return r;
	index_key(number, key);
	index->set_key(index, key);
	index->set_value(index, number);
	return index->insert(index);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	WT_SESSION *s = session_open();
	WT_CURSOR *documents = cursor_open(s, COLLECTION, "overwrite=false");
	WT_CURSOR *index = cursor_open(s, INDEX, "overwrite=false");
	uint8_t *room = malloc(ROOM);

	require(room, "no memory");
	while (!stopping) {
		int r;

		must(s->begin_transaction(s, NULL), "begin_transaction");
		r = document_insert(documents, index, w->next, room);
		if (r == WT_ROLLBACK) { /* the cache is full */
			must(s->rollback_transaction(s, NULL), "rollback_transaction");
			continue;
		}
		must(r, "insert");
		must(s->commit_transaction(s, w->flushes ? "sync=off" : NULL),
		     "commit_transaction");
		if (w->flushes)
			must(s->log_flush(s, "sync=on"), "log_flush");
		(void)dprintf(STDOUT_FILENO, "%lld\n", (long long)w->next++);
	}
	free(room);
	must(s->close(s, NULL), "a session's end");
	return NULL;
}

static void *checkpoint_main(void *arg)
{
	WT_SESSION *s = session_open();

	(void)arg;
	while (!stopping) {
		must(s->checkpoint(s, NULL), "checkpoint");
		(void)usleep(CHECKPOINT_GAP);
	}
	must(s->close(s, NULL), "a session's end");
	return NULL;
}

static void write_documents(int64_t first, unsigned sessions)
{
	struct writer writers[SESSIONS_MAX];
	pthread_t checkpoints;
	sigset_t term;
	int signal;

	require(sessions > 0 && sessions <= SESSIONS_MAX, "that many sessions?");
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &term, NULL);
	require(pthread_create(&checkpoints, NULL, checkpoint_main, NULL) == 0, "no thread");
	for (unsigned i = 0; i < sessions; i++) {
		writers[i] =
			(struct writer){ .next = first + (int64_t)i * APART, .flushes = i % 2 };
		require(pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]) == 0,
			"no thread");
	}
	(void)sigwait(&term, &signal);
	stopping = 1;
	for (unsigned i = 0; i < sessions; i++)
		(void)pthread_join(writers[i].thread, NULL);
	(void)pthread_join(checkpoints, NULL);
}

static void document_check(WT_CURSOR *index, int64_t number, const WT_ITEM *item, uint8_t *room)
{
	char key[64];
	int64_t indexed = -1;

	require(document_make(number, room) == item->size &&
			memcmp(room, item->data, item->size) == 0,
		"a document is not what was written");
	index_key(number, key);
	index->set_key(index, key);
	must(index->search(index), "a document's index entry");
	must(index->get_value(index, &indexed), "an index entry");
	require(indexed == number, "an index entry is another document's");
}

static uint64_t count(WT_CURSOR *c)
{
	uint64_t n = 0;
	int r;

	must(c->reset(c), "reset");
	while ((r = c->next(c)) == 0)
		n++;
	require(r == WT_NOTFOUND, wiredtiger_strerror(r));
	return n;
}

static bool is_mapped(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096];
	bool found = false;

	require(maps, "/proc/self/maps");
	while (!found && fgets(line, sizeof(line), maps))
		found = strstr(line, name) != NULL;
	(void)fclose(maps);
	return found;
}

/* All that there are, or those of the last checkpoint, whose files WiredTiger maps; how many. */
static uint64_t documents_check(WT_SESSION *s, const char *checkpoint, bool print)
{
	WT_CURSOR *documents = cursor_open(s, COLLECTION, checkpoint);
	WT_CURSOR *index = cursor_open(s, INDEX, checkpoint);
	uint8_t *room = malloc(ROOM);
	uint64_t n = 0;
	int r;

	require(room, "no memory");
	require(!checkpoint || (is_mapped("/collection.wt") && is_mapped("/index.wt")),
		"WiredTiger did not map its files");
	for (; (r = documents->next(documents)) == 0; n++) {
		int64_t number;
		WT_ITEM item;

		must(documents->get_key(documents, &number), "a document's key");
		must(documents->get_value(documents, &item), "a document");
		document_check(index, number, &item, room);
		if (print)
			(void)printf("%lld\n", (long long)number);
	}
	require(r == WT_NOTFOUND, wiredtiger_strerror(r));
	require(count(index) == n, "an index entry has no document");
	free(room);
	must(documents->close(documents), "a cursor's end");
	must(index->close(index), "a cursor's end");
	return n;
}

static void read_documents(void)
{
	WT_SESSION *s = session_open();
	uint64_t n = documents_check(s, NULL, true);

	must(s->checkpoint(s, NULL), "checkpoint");
	require(documents_check(s, "checkpoint=WiredTigerCheckpoint", false) == n,
		"the checkpoint has other documents");
	must(s->verify(s, COLLECTION, NULL), "verify " COLLECTION);
	must(s->verify(s, INDEX, NULL), "verify " INDEX);
	must(s->close(s, NULL), "a session's end");
}

int main(int argc, char **argv)
{
	bool writes = argc == 5 && strcmp(argv[1], "write") == 0;

	if (!writes && (argc != 3 || strcmp(argv[1], "check") != 0))
		return fprintf(stderr,
			       "usage: wiredtiger_load write DIR FIRST SESSIONS | check DIR\n"),
		       2;
	database_open(argv[2]);
	if (writes)
		write_documents(strtoll(argv[3], NULL, 10), (unsigned)strtoul(argv[4], NULL, 10));
	else
		read_documents();
	must(connection->close(connection, NULL), "the database's end");
	return fflush(stdout) == 0 ? 0 : 1;
}
