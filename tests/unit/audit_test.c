/* SPDX-License-Identifier: Apache-2.0 */
/* The event log: its chain, what it does without a disk, and who gives way to whom. */
#include "../support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/temporary.h"
#include "tdefs/audit_read.h"

static char dir[TEMPORARY_PATH_MAX], event_dir[TEMPORARY_PATH_MAX + 16],
	state_dir[TEMPORARY_PATH_MAX + 16];
static struct audit *recorder;

static struct audit_options options(void)
{
	return (struct audit_options){ .event_dir = event_dir,
				       .state_dir = state_dir,
				       .volume = "v",
				       .log_size = 1 << 20,
				       .log_keep = 3,
				       .retry_ms = 1,
				       .close_wait_ms = 240000,
				       .sys = &sysio_kernel };
}

static void open_recorder(const struct audit_options *o)
{
	struct errmsg err = { 0 };

	assert_int_equal(audit_open(o, &recorder, &err), 0);
}

static int setup(void **state)
{
	(void)state;
	recorder = NULL;
	if (temporary_directory(dir) < 0)
		return -1;
	(void)snprintf(event_dir, sizeof(event_dir), "%s/log", dir);
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	audit_close(recorder);
	return temporary_remove(dir);
}

static void close_recorder(void)
{
	audit_close(TAKE_PTR(recorder));
}

static void record(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		audit_record(recorder, AUDIT_MAJOR, "state", json_pack("{s:i}", "i", (int)i));
}

/* A log of so many events. */
static void make_log(const struct audit_options *o, unsigned count)
{
	open_recorder(o);
	record(count);
	close_recorder();
}

static char *path_of(const char *name)
{
	static char path[2 * TEMPORARY_PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", event_dir, name);
	return path;
}

static void found(void *arg, enum audit_finding finding, const char *text)
{
	assert_true(strlen(text) > 0);
	*(unsigned *)arg |= 1u << finding;
}

/* Findings as bits. */
static unsigned verify(struct audit_check *ret_check)
{
	const struct audit_verify_options o = { .event_dir = event_dir,
						.state_dir = state_dir,
						.volume = "v" };
	struct errmsg err = { 0 };
	unsigned bits = 0;

	assert_int_equal(audit_verify(&o, found, &bits, ret_check, &err), 0);
	assert_int_equal(ret_check->ndamaged > 0, (bits & ((1u << AUDIT_TORN) - 1)) != 0);
	return bits;
}

static void assert_whole(uint64_t last_seq)
{
	struct audit_check c;

	assert_int_equal(verify(&c), 0);
	assert_int_equal(c.last_seq, last_seq);
}

static void assert_damaged(enum audit_finding finding)
{
	struct audit_check c;

	assert_true(verify(&c) & 1u << finding);
}

/* The n-th line (from 0) of the log, parsed; NULL: there is none. */
static json_t *line(const char *name, unsigned n)
{
	char path[2 * TEMPORARY_PATH_MAX], text[AUDIT_LINE_MAX + 2];
	CLEANUP_FCLOSE FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s", event_dir, name);
	f = fopen(path, "r");
	if (!f)
		return NULL;
	do
		if (!fgets(text, sizeof(text), f))
			return NULL;
	while (n-- > 0);
	return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
}

static const char *text_of(json_t *line, const char *name)
{
	return json_string_value(json_object_get(line, name));
}

static void events_are_chained_lines(void **state)
{
	const struct audit_options o = options();
	char previous[HEX_LEN(SHA256_LEN)] = "";

	(void)state;
	memset(previous, '0', sizeof(previous) - 1);
	open_recorder(&o);
	audit_record(recorder, AUDIT_MAJOR, "state", json_pack("{s:s}", "to", "online"));
	audit_record(recorder, AUDIT_MINOR, "file", NULL);
	close_recorder();
	open_recorder(&o); /* and goes on after a restart */
	audit_record(recorder, AUDIT_MAJOR, "lock", json_pack("{s:s, s:i}", "by", "x\n", "seq", 9));
	close_recorder();
	for (unsigned i = 0; i < 3; i++) {
		json_t *l = line("v.jsonl", i);

		assert_non_null(l);
		assert_int_equal(json_integer_value(json_object_get(l, "seq")), i + 1);
		assert_string_equal(text_of(l, "volume"), "v");
		assert_string_equal(text_of(l, "prev"), previous);
		(void)snprintf(previous, sizeof(previous), "%s", text_of(l, "hash"));
		if (i == 0)
			assert_string_equal(text_of(l, "to"), "online");
		json_decref(l);
	}
	assert_null(line("v.jsonl", 3));
}

/*
 * Many logs of one event each. How many events are written at once, and so where
 * a file ends, depends on the machine; of one it does not.
 */
static void make_logs(const struct audit_options *o, unsigned count)
{
	while (count-- > 0)
		make_log(o, 1);
}

static void assert_mode(const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, mode);
}

static void whoever_makes_it_the_group_may_read_it(void **state)
{
	const struct audit_options o = options();
	const mode_t before = umask(077); /* tdefsctl's, whose `format` comes first */

	(void)state;
	make_log(&o, 1);
	umask(before);
	assert_mode(event_dir, 0750);
	assert_mode(path_of("v.jsonl"), 0640);
}

static void rotated_files_are_one_chain(void **state)
{
	struct audit_options o = options();
	struct audit_check c;

	(void)state;
	o.log_size = 1024; /* four events */
	make_logs(&o, 30);
	assert_int_equal(access(path_of("v.jsonl.3"), F_OK), 0);
	assert_int_equal(access(path_of("v.jsonl.4"), F_OK), -1);
	assert_int_equal(verify(&c), 0);
	assert_int_equal(c.last_seq, 30);
	assert_true(c.first_seq > 1);
	o.log_keep = 2; /* the others go at the next rotation */
	make_logs(&o, 5);
	assert_int_equal(access(path_of("v.jsonl.3"), F_OK), -1);
	assert_whole(35);
	assert_int_equal(unlink(path_of("v.jsonl.2")), 0);
	assert_damaged(AUDIT_CUT);
	o.log_keep = 5; /* a hole is filled, and what is missing stays told */
	make_logs(&o, 5);
	assert_int_equal(access(path_of("v.jsonl.2"), F_OK), 0);
	assert_damaged(AUDIT_CUT);
	assert_int_equal(unlink(path_of("v.jsonl.1")), 0);
	assert_damaged(AUDIT_GAP);
}

static void add_bytes(const char *bytes)
{
	int fd = open(path_of("v.jsonl"), O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
	close(fd);
}

static void torn_line_is_told_as_torn(void **state)
{
	const struct audit_options o = options();
	struct audit_check c;
	json_t *l;

	(void)state;
	make_log(&o, 3);
	add_bytes("{\"v\":1,\"seq\":4,\"ti");
	assert_int_equal(verify(&c), 1u << AUDIT_TORN);
	make_log(&o, 1);
	assert_int_equal(verify(&c), 1u << AUDIT_TORN);
	assert_int_equal(c.last_seq, 5);
	l = line("v.jsonl", 4);
	assert_string_equal(text_of(l, "event"), "log_torn");
	json_decref(l);
	add_bytes("not one of ours\n{\"v\":1,"); /* a crash in that, too */
	make_log(&o, 1);
	assert_int_equal(verify(&c), 1u << AUDIT_TORN);
	assert_int_equal(c.ntorn, 2);
}

static void cut_or_deleted_log_is_not_whole(void **state)
{
	const struct audit_options o = options();
	struct stat st;

	(void)state;
	make_log(&o, 5);
	assert_int_equal(stat(path_of("v.jsonl"), &st), 0);
	assert_int_equal(truncate(path_of("v.jsonl"), st.st_size / 5 * 4), 0);
	assert_damaged(AUDIT_CUT);
	make_log(&o, 5); /* and it stays so */
	assert_damaged(AUDIT_GAP);
	assert_int_equal(unlink(path_of("v.jsonl")), 0);
	assert_damaged(AUDIT_CUT);
	make_log(&o, 5);
	assert_damaged(AUDIT_CUT);
}

static void log_without_its_head_is_not_whole(void **state)
{
	const struct audit_options o = options();
	char head[2 * TEMPORARY_PATH_MAX];
	struct audit_check c;

	(void)state;
	make_log(&o, 5);
	(void)snprintf(head, sizeof(head), "%s/v.head", state_dir);
	assert_int_equal(unlink(head), 0);
	assert_damaged(AUDIT_HEAD);
	make_log(&o, 1); /* it goes on, but who took the head may have cut the log */
	assert_int_equal(verify(&c), 1u << AUDIT_HEAD);
	assert_int_equal(c.last_seq, 7);
}

static void every_changed_byte_shows(void **state)
{
	const struct audit_options o = options();
	struct stat st;
	char byte;
	int fd;

	(void)state;
	make_log(&o, 3);
	assert_int_equal(stat(path_of("v.jsonl"), &st), 0);
	fd = open(path_of("v.jsonl"), O_RDWR);
	for (off_t at = 0; at < st.st_size; at++) {
		struct audit_check c;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		verify(&c);
		assert_true(c.ndamaged > 0);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
	assert_whole(3);
}

/* The line at `at`, with another event's name and the hash that goes with it. */
static void forge(char *at)
{
	char *hash = strstr(at, ",\"hash\":\""), hex[HEX_LEN(SHA256_LEN)];
	uint8_t digest[SHA256_LEN];

	memcpy(strstr(at, "state"), "stale", 5);
	assert_int_equal(sha256(at, (size_t)(hash - at), digest), 0);
	memcpy(hash + 9, hex_encode(digest, SHA256_LEN, hex), sizeof(hex) - 1);
}

static void line_with_a_hash_of_its_own_does_not_fit(void **state)
{
	const struct audit_options o = options();
	char log[4096] = "", forged[sizeof(log)];
	char *at = forged;
	ssize_t len;
	int fd;

	(void)state;
	make_log(&o, 3);
	fd = open(path_of("v.jsonl"), O_RDWR);
	len = read(fd, log, sizeof(log) - 1);
	for (int i = 0; i < 3; i++) {
		memcpy(forged, log, sizeof(log));
		forge(at);
		at = strchr(at, '\n') + 1;
		assert_int_equal(pwrite(fd, forged, (size_t)len, 0), len);
		assert_damaged(AUDIT_EDITED);
	}
	close(fd);
}

static void anchor_of_another_log_is_refused(void **state)
{
	struct audit_options options_ = options();
	struct audit_verify_options o = { event_dir, state_dir, "v", 3, { 0 } };
	struct errmsg err = { 0 };
	struct audit_check c;
	unsigned bits = 0;
	json_t *l;

	(void)state;
	make_log(&options_, 4);
	l = line("v.jsonl", 2);
	assert_true(hex_decode(text_of(l, "hash"), o.anchor_hash, SHA256_LEN));
	json_decref(l);
	assert_int_equal(audit_verify(&o, found, &bits, &c, &err), 0);
	assert_int_equal(bits, 0);
	o.anchor_hash[0] ^= 1;
	assert_int_equal(audit_verify(&o, found, &bits, &c, &err), 0);
	assert_int_equal(bits, 1u << AUDIT_UNKNOWN);
}

static void *write_many(void *arg)
{
	struct audit *a = arg;

	for (unsigned i = 0; i < 200; i++)
		audit_record(a, AUDIT_MAJOR, "state", NULL);
	audit_close(a);
	return NULL;
}

static void two_writers_share_a_chain(void **state)
{
	struct audit_options o = options();
	struct errmsg err = { 0 };
	struct audit_check c;
	pthread_t threads[2];

	(void)state;
	o.log_size = 8192;
	o.log_keep = 100;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		struct audit *a;

		assert_int_equal(audit_open(&o, &a, &err), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, a), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(verify(&c), 0);
	assert_int_equal(c.nlines, 400);
}

static void no_failing_call_damages_the_chain(void **state)
{
	struct audit_options o = options();
	uint64_t before = 0;
	bool hit = true;

	(void)state;
	o.sys = &faults_sysio;
	o.log_size = 1024; /* rotate each time */
	o.log_keep = 2;
	for (unsigned n = 1; hit; n++) {
		for (int for_ever = 0; for_ever < 2; for_ever++) {
			struct audit_check c;

			open_recorder(&o);
			faults_arm(n, -EIO, for_ever);
			record(2);
			close_recorder();
			hit = faults_disarm();
			make_log(&o, 1);
			verify(&c);
			if (c.ndamaged > 0)
				fail_msg("call %u%s", n, for_ever ? " and all after it" : "");
			if (!for_ever) /* each event once, and log_recovered */
				assert_in_range(c.last_seq - before, 3, 4);
			before = c.last_seq;
		}
	}
}

/* A sink that keeps what it got. */
static struct {
	pthread_mutex_t lock;
	unsigned n, unchained;
	char last[AUDIT_LINE_MAX];
} heard = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void hear(void *arg, enum audit_weight weight, const char *event, const char *text,
		 size_t len)
{
	(void)arg, (void)weight, (void)event;
	LOCK_SCOPE(&heard.lock);
	heard.n++;
	(void)snprintf(heard.last, sizeof(heard.last), "%.*s", (int)len, text);
	heard.unchained += strstr(heard.last, "\"hash\"") == NULL;
}

static unsigned heard_so_far(void)
{
	LOCK_SCOPE(&heard.lock);
	return heard.n;
}

static void log_that_fails_is_written_later(void **state)
{
	const struct audit_sink sink = { hear, NULL };
	struct audit_options o = options();
	struct audit_view view;
	json_t *l;

	(void)state;
	heard.n = heard.unchained = 0;
	o.sinks = &sink;
	o.nsinks = 1;
	(void)snprintf(event_dir, sizeof(event_dir), "%s/later/log", dir);
	open_recorder(&o);
	record(1);
	do
		sched_yield(), audit_view(recorder, &view);
	while (!view.failing || heard_so_far() < 1); /* sinks do not wait for the disk */
	assert_non_null(strstr(view.error, "later/log"));
	assert_true(view.failing_since > 0);
	assert_int_equal(view.waiting, 1);
	(void)snprintf(event_dir, sizeof(event_dir), "%s/later", dir);
	assert_int_equal(mkdir(event_dir, 0700), 0);
	do
		sched_yield(), audit_view(recorder, &view);
	while (view.failing || view.waiting > 0);
	record(1);
	close_recorder();
	(void)snprintf(event_dir, sizeof(event_dir), "%s/later/log", dir);
	l = line("v.jsonl", 0);
	assert_string_equal(text_of(l, "event"), "state");
	json_decref(l);
	assert_whole(3); /* and log_recovered */
	assert_int_equal(heard.n, 3);
	assert_int_equal(heard.unchained, 1);
}

static void minor_events_give_way(void **state)
{
	struct audit_options o = options();
	struct audit_view view;
	char expected[64];
	json_t *l;

	(void)state;
	o.sys = &faults_sysio;
	o.retry_ms = 3600000;
	faults_arm(1, -ENOSPC, true);
	open_recorder(&o);
	record(1);
	do
		sched_yield(), audit_view(recorder, &view);
	while (!view.failing);
	for (unsigned i = 0; i < 65; i++) /* five more than are allowed */
		audit_record(recorder, AUDIT_MINOR, "file", NULL);
	audit_view(recorder, &view);
	assert_in_range(view.waiting, 61, 66); /* a slow machine's allowance grows */
	assert_int_equal(view.waiting + view.dropped, 66);
	record(AUDIT_QUEUE_MAX - 1);
	audit_view(recorder, &view);
	assert_int_equal(view.waiting, AUDIT_QUEUE_MAX);
	assert_int_equal(view.dropped, 65);
	audit_record(recorder, AUDIT_MINOR, "file", NULL);
	record(1); /* one too many */
	faults_disarm();
	close_recorder();
	l = line("v.jsonl", AUDIT_QUEUE_MAX - 1);
	assert_string_equal(text_of(l, "event"), "state");
	json_decref(l);
	for (unsigned i = AUDIT_QUEUE_MAX;; i++) {
		l = line("v.jsonl", i);
		assert_non_null(l);
		if (strcmp(text_of(l, "event"), "events_dropped") == 0)
			break;
		json_decref(l);
	}
	(void)snprintf(expected, sizeof(expected), "%d %d",
		       (int)json_integer_value(json_object_get(l, "major")),
		       (int)json_integer_value(json_object_get(l, "minor")));
	json_decref(l);
	assert_string_equal(expected, "1 66");
}

static void probes_give_way_to_changes_of_state(void **state)
{
	struct audit_options o = options();
	struct audit_view view;
	unsigned states = 0;
	json_t *l;

	(void)state;
	o.sys = &faults_sysio;
	o.retry_ms = 3600000;
	faults_arm(1, -ENOSPC, true);
	open_recorder(&o);
	record(1);
	do
		sched_yield(), audit_view(recorder, &view);
	while (!view.failing);
	for (unsigned i = 0; i < AUDIT_QUEUE_MAX; i++)
		audit_record(recorder, AUDIT_MAJOR, "key_unwrap", NULL);
	record(1);
	audit_view(recorder, &view);
	assert_int_equal(view.waiting, AUDIT_QUEUE_MAX);
	assert_int_equal(view.dropped, 2);
	faults_disarm();
	close_recorder();
	for (unsigned i = 0; (l = line("v.jsonl", i)); i++) {
		states += strcmp(text_of(l, "event"), "state") == 0;
		json_decref(l);
	}
	assert_int_equal(states, 2);
}

/* A field of a datagram: what is told by its length. */
static void assert_field(const char *bytes, size_t len, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);
	const char *at = memmem(bytes, len, name, name_len);
	uint64_t told;

	assert_non_null(at);
	assert_true(at == bytes || at[-1] == '\n');
	memcpy(&told, at + name_len + 1, sizeof(told));
	assert_int_equal(told, value_len);
	assert_memory_equal(at + name_len + 9, value, value_len);
}

static void journal_is_told_in_its_own_words(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct audit_journal *journal = NULL;
	struct audit_sink sink;
	struct audit_options o = options();
	char bytes[8192];
	ssize_t n;
	json_t *l;

	(void)state;
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%.64s/journal", dir);
	unsetenv("JOURNAL_STREAM");
	unsetenv("INVOCATION_ID");
	assert_int_equal(audit_journal_open("v", at.sun_path, &journal), -ENOENT);
	setenv("INVOCATION_ID", "1", 1);
	assert_int_equal(audit_journal_open("v", at.sun_path, &journal), 0);
	sink = (struct audit_sink){ audit_journal_send, journal };
	o.sinks = &sink;
	o.nsinks = 1;
	make_log(&o, 1); /* nobody is there: lost */
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	open_recorder(&o);
	audit_record(recorder, AUDIT_MAJOR, "probe_failed",
		     json_pack("{s:s}", "why", "a\nb\" x=\"c"));
	close_recorder();
	n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	assert_true(n > 0);
	l = line("v.jsonl", 1);
	assert_field(bytes, (size_t)n, "MESSAGE", "v: probe_failed why=\"a\\x0ab' x='c\"");
	assert_field(bytes, (size_t)n, "PRIORITY", "4");
	assert_field(bytes, (size_t)n, "SYSLOG_IDENTIFIER", "tdefs");
	assert_field(bytes, (size_t)n, "TDEFS_EVENT", "probe_failed");
	assert_field(bytes, (size_t)n, "TDEFS_HASH", text_of(l, "hash"));
	assert_field(bytes, (size_t)n, "TDEFS_SEQ", "2");
	assert_field(bytes, (size_t)n, "TDEFS_LOST", "1");
	json_decref(l);
	audit_journal_close(journal);
	close(fd);
}

static void anchors_come_in_time_and_at_the_end(void **state)
{
	const struct audit_sink sink = { hear, NULL };
	struct audit_options o = options();
	struct audit_check c;

	(void)state;
	heard.n = heard.unchained = 0;
	o.anchor_interval_ms = 1;
	o.sinks = &sink;
	o.nsinks = 1;
	open_recorder(&o);
	while (heard_so_far() < 3)
		sched_yield();
	record(1);
	close_recorder();
	assert_int_equal(verify(&c), 0);
	assert_int_equal(c.last_anchor, c.last_seq);
	assert_non_null(strstr(heard.last, "\"event\":\"anchor\""));
}

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool holds, reached;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int hanging_fdatasync(int fd)
{
	LOCK_SCOPE(&disk.lock);
	disk.reached = true;
	pthread_cond_broadcast(&disk.changed);
	while (disk.holds)
		pthread_cond_wait(&disk.changed, &disk.lock);
	return fdatasync(fd);
}

static unsigned count_threads(void)
{
	CLEANUP_CLOSEDIR DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	while (readdir(d))
		n++;
	return n;
}

/*
 * In a process of its own, which ends without what exit(3) does: the thread that
 * is left behind is joined by nobody.
 */
static int meet_disk_that_hangs(void)
{
	static struct sysio hanging;
	struct audit_options o = options();
	unsigned threads = count_threads();
	struct errmsg err = { 0 };

	hanging = sysio_kernel;
	hanging.fdatasync = hanging_fdatasync;
	disk.holds = true;
	o.sys = &hanging;
	o.close_wait_ms = 1;
	if (audit_open(&o, &recorder, &err) < 0)
		return 1;
	record(1);
	{
		LOCK_SCOPE(&disk.lock);
		while (!disk.reached)
			pthread_cond_wait(&disk.changed, &disk.lock);
	}
	record(2 * AUDIT_QUEUE_MAX);
	close_recorder();
	{
		LOCK_SCOPE(&disk.lock);
		disk.holds = false;
		pthread_cond_broadcast(&disk.changed);
	}
	while (count_threads() > threads)
		sched_yield();
	return 0;
}

static void disk_that_hangs_stops_nobody(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(meet_disk_that_hangs());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static int fuse_fstatfs(int fd, struct statfs *ret_st)
{
	(void)fd;
	*ret_st = (struct statfs){ .f_type = FUSE_SUPER_MAGIC };
	return 0;
}

static void log_on_a_fuse_mount_is_refused(void **state)
{
	struct sysio fuse = sysio_kernel;
	struct audit_options o = options();
	struct errmsg err = { 0 };

	(void)state;
	fuse.fstatfs = fuse_fstatfs;
	o.sys = &fuse;
	assert_int_equal(audit_open(&o, &recorder, &err), -EINVAL);
	assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
	assert_non_null(strstr(err.text, event_dir));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_are_chained_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(whoever_makes_it_the_group_may_read_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rotated_files_are_one_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(torn_line_is_told_as_torn, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_or_deleted_log_is_not_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(log_without_its_head_is_not_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(every_changed_byte_shows, setup, teardown),
		cmocka_unit_test_setup_teardown(line_with_a_hash_of_its_own_does_not_fit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(anchor_of_another_log_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(two_writers_share_a_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(no_failing_call_damages_the_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(log_that_fails_is_written_later, setup, teardown),
		cmocka_unit_test_setup_teardown(minor_events_give_way, setup, teardown),
		cmocka_unit_test_setup_teardown(probes_give_way_to_changes_of_state, setup,
						teardown),
		cmocka_unit_test_setup_teardown(journal_is_told_in_its_own_words, setup, teardown),
		cmocka_unit_test_setup_teardown(anchors_come_in_time_and_at_the_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(disk_that_hangs_stops_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(log_on_a_fuse_mount_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
