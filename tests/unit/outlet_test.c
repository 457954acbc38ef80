/* SPDX-License-Identifier: Apache-2.0 */
/* Hook and webhook without their programs: who gives way in a queue, what is sent, what is read. */
#include "../support/test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/audit/event_queue.h"
#include "../../src/audit/webhook_target.h"
#include "tdefs/hook_link.h"
#include "tdefs/net.h"
#include "tdefs/outlets.h"

#define WAIT_MS 120000

static void push(struct event_queue *q, enum audit_rank rank, unsigned n)
{
	char line[16];

	event_queue_push(q, rank, line, (size_t)snprintf(line, sizeof(line), "%u", n));
}

static void assert_next(struct event_queue *q, const char *line)
{
	CLEANUP_FREE struct event *e = event_queue_pop(q);

	assert_non_null(e);
	assert_int_equal(e->len, strlen(line));
	assert_memory_equal(e->line, line, e->len);
}

static void events_keep_their_order(void **state)
{
	struct event_queue q = { 0 };

	(void)state;
	assert_null(event_queue_pop(&q));
	push(&q, AUDIT_RANK_MINOR, 1);
	push(&q, AUDIT_RANK_STATE, 2);
	assert_next(&q, "1");
	push(&q, AUDIT_RANK_MINOR, 3);
	assert_next(&q, "2");
	assert_next(&q, "3");
	assert_null(event_queue_pop(&q));
	push(&q, AUDIT_RANK_MINOR, 4);
	assert_next(&q, "4");
	assert_int_equal(q.count + q.of_rank[AUDIT_RANK_MINOR] + q.bytes + q.dropped, 0);
}

static void minor_events_give_way_to_all_and_major_ones_to_major_ones(void **state)
{
	struct event_queue q = { 0 };

	(void)state;
	push(&q, AUDIT_RANK_STATE, 0);
	for (unsigned i = 1; i < EVENT_QUEUE_MAX; i++)
		push(&q, AUDIT_RANK_MINOR, i);
	push(&q, AUDIT_RANK_MINOR, 1000); /* for 1 */
	push(&q, AUDIT_RANK_STATE, 1001); /* for 2 */
	assert_int_equal(q.count, EVENT_QUEUE_MAX);
	assert_int_equal(q.dropped, 2);
	assert_next(&q, "0");
	assert_next(&q, "3");
	for (unsigned i = 0; i < EVENT_QUEUE_MAX; i++) /* all of the minor ones go */
		push(&q, AUDIT_RANK_STATE, 2000 + i);
	assert_int_equal(q.of_rank[AUDIT_RANK_MINOR], 0);
	assert_next(&q, "2000"); /* 1001 was the oldest */
	push(&q, AUDIT_RANK_STATE, 3000);
	push(&q, AUDIT_RANK_MINOR, 3001); /* finds major ones only */
	assert_int_equal(q.count, EVENT_QUEUE_MAX);
	assert_int_equal(q.of_rank[AUDIT_RANK_MINOR], 0);
	assert_next(&q, "2001");
	event_queue_clear(&q);
	assert_int_equal(q.count + q.bytes, 0);
	push(&q, AUDIT_RANK_MINOR, 1);
	assert_next(&q, "1");
}

/* A vault that is away for hours, and with it the webhook: each probe is an event. */
static void changes_of_state_outlive_probes(void **state)
{
	struct event_queue q = { 0 };

	(void)state;
	push(&q, audit_rank_of(AUDIT_MAJOR, "state"), 0);
	for (unsigned i = 1; i < 2 * EVENT_QUEUE_MAX; i++)
		push(&q, audit_rank_of(AUDIT_MAJOR, "key_unwrap"), i);
	push(&q, audit_rank_of(AUDIT_MAJOR, "lock"), 5000);
	assert_next(&q, "0");
	assert_next(&q,
		    "514"); /* of 1 to 1023 the latest, but for one that made room for the lock */
	while (q.count > 1)
		free(event_queue_pop(&q));
	assert_next(&q, "5000");
}

static void a_queue_is_bounded_in_bytes(void **state)
{
	static const char long_line[EVENT_QUEUE_BYTES_MAX + 1];
	struct event_queue q = { 0 };

	(void)state;
	event_queue_push(&q, AUDIT_RANK_STATE, long_line, EVENT_QUEUE_BYTES_MAX + 1);
	assert_int_equal(q.count, 0);
	push(&q, AUDIT_RANK_STATE, 1);
	event_queue_push(&q, AUDIT_RANK_MINOR, long_line, EVENT_QUEUE_BYTES_MAX);
	assert_int_equal(q.count, 1);
	event_queue_push(&q, AUDIT_RANK_STATE, long_line, EVENT_QUEUE_BYTES_MAX);
	assert_int_equal(q.count, 1);
	assert_int_equal(q.bytes, EVENT_QUEUE_BYTES_MAX);
	assert_int_equal(q.dropped, 3);
	event_queue_clear(&q);
}

/* Webhook. */

static struct secret *secret_of(const char *text)
{
	struct secret *s = secret_new(strlen(text));

	assert_non_null(s);
	memcpy(secret_bytes(s), text, strlen(text));
	return s;
}

static void signatures_are_over_time_and_body(void **state)
{
	static const char body[] = "{\"event\":\"state\"}";
	CLEANUP_SECRET struct secret *key = secret_of("0123456789abcdef");
	char text[WEBHOOK_SIGNATURE_LEN];

	(void)state;
	assert_int_equal(webhook_signature(key, 1700000000, body, strlen(body), text), 0);
	/* By Python's hmac, of "1700000000." and the body. */
	assert_string_equal(
		text,
		"t=1700000000,v1=8bb5d08dff84233a097fac4c6c6f142e0b51759120ac610bc9e04d23ba5fa3b4");
}

static int read_file(const char *text, struct webhook_target **ret_target, struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *s = secret_of(text);

	return webhook_target_parse("FILE", s, ret_target, reterr);
}

static void webhook_files_are_a_url_and_a_key(void **state)
{
	static const struct {
		const char *text, *url, *host, *key;
	} cases[] = {
		{ "https://h/p", "https://h/p", "h", NULL },
		{ "https://h.example:8443/p?q=1\r\n\n", "https://h.example:8443/p?q=1",
		  "h.example:8443", NULL },
		{ "HTTPS://h?token\n0123456789abcdef\n", "HTTPS://h?token", "h",
		  "0123456789abcdef" },
		{ "https://[::1]:1/\n  sixteen letters \n\n", "https://[::1]:1/", "[::1]:1",
		  "  sixteen letters" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct webhook_target *t = NULL;
		struct errmsg err = { 0 };

		assert_int_equal(read_file(cases[i].text, &t, &err), 0);
		assert_string_equal((const char *)secret_view(t->url), cases[i].url);
		assert_string_equal(t->host, cases[i].host);
		assert_int_equal(!t->key, !cases[i].key);
		if (t->key) {
			assert_int_equal(secret_len(t->key), strlen(cases[i].key));
			assert_memory_equal(secret_view(t->key), cases[i].key, secret_len(t->key));
		}
		webhook_target_free(t);
	}
}

static void other_webhook_files_are_refused_without_a_word_of_theirs(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "http://secret/", "https://" },
		{ "\nhttps://secret/", "https://" },
		{ "https:///secret", "no URL" },
		{ "https://user:secret@h/", "no URL" },
		{ "https://h\\secret/", "no URL" },
		{ "https://h/secret path", "no URL" },
		{ "https://h/secret\x01", "no URL" },
		{ "https://secret/\n0123456789abcde\n", "shorter than 16" },
		{ "https://h/\n0123456789abcdef\nsecret\n", "more than two" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct webhook_target *t = NULL;
		struct errmsg err = { 0 };

		assert_int_equal(read_file(cases[i].text, &t, &err), -EINVAL);
		assert_null(t);
		assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
		assert_non_null(strstr(err.text, cases[i].why));
		assert_null(strstr(err.text, "secret"));
		assert_null(strstr(err.next, "secret"));
	}
}

/* Hook: the test is the helper. */

static int helper;	    /* its end of the link */
static int told_of_loss[2]; /* a pipe */
static struct hook *hook;

static void tell(void *arg)
{
	(void)arg;
	IGNORE_RESULT(write(told_of_loss[1], "!", 1), "the test waits for it");
}

static int open_hook(void **state)
{
	struct hook_options o = { .volume = "v", .command = "/bin/tell me" };
	struct errmsg err = { 0 };
	int sockets[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0 ||
	    pipe(told_of_loss) < 0)
		return -1;
	o.link = sockets[0];
	helper = sockets[1];
	if (hook_open(&o, &hook, &err) < 0)
		return -1;
	hook_watch(hook, tell, NULL);
	return 0;
}

static int close_hook(void **state)
{
	(void)state;
	hook_close(hook);
	if (helper >= 0)
		close(helper);
	close(told_of_loss[0]);
	close(told_of_loss[1]);
	return 0;
}

static void await(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void send_event(const char *line)
{
	hook_send(hook, AUDIT_MAJOR, "state", line, strlen(line));
}

static void answer_job(const char *command, const char *line, enum hook_outcome outcome, int value)
{
	const struct hook_answer a = { outcome, value };
	size_t words = strlen(command) + 1;
	char job[64];
	ssize_t n;

	await(helper);
	n = recv(helper, job, sizeof(job), 0);
	assert_int_equal(n, words + strlen(line));
	assert_string_equal(job, command);
	assert_memory_equal(job + words, line, strlen(line));
	assert_int_equal(send(helper, &a, sizeof(a), 0), sizeof(a));
}

/* Until the view says so: the hook's thread has read the answer. */
static struct outlet_view settled(uint64_t sent, uint64_t failed)
{
	struct outlet_view v;

	for (unsigned i = 0; i < WAIT_MS; i++) {
		hook_view(hook, &v);
		if (v.sent == sent && v.failed == failed && v.waiting == 0)
			return v;
		IGNORE_RESULT(poll(NULL, 0, 1), "a pause");
	}
	fail_msg("sent %u, failed %u, waiting %zu", (unsigned)v.sent, (unsigned)v.failed,
		 v.waiting);
	return v;
}

static void commands_are_run_in_turn_and_their_ends_counted(void **state)
{
	struct errmsg err = { 0 };
	struct outlet_view v;

	(void)state;
	send_event("{1}\n");
	send_event("{2}");
	answer_job("/bin/tell me", "{1}", HOOK_EXITED, 0);
	answer_job("/bin/tell me", "{2}", HOOK_EXITED, 3);
	v = settled(1, 1);
	assert_string_equal(v.error, "/bin/tell: exit status 3");
	assert_int_equal(hook_replace(hook, "/bin/sh -c x", &err), 0);
	send_event("{3}");
	answer_job("/bin/sh -c x", "{3}", HOOK_TIMED_OUT, 0);
	v = settled(1, 2);
	assert_string_equal(v.error, "/bin/sh: ended after 10 s");
	send_event("{4}");
	answer_job("/bin/sh -c x", "{4}", HOOK_EXITED, 0);
	v = settled(2, 2);
	assert_string_equal(v.error, "");
	assert_int_equal(hook_replace(hook, "/nowhere", &err), -EINVAL);
	assert_int_equal(hook_replace(hook, NULL, &err), 0);
	send_event("{5}");
	v = settled(2, 2);
	assert_false(v.on);
}

static void a_helper_that_ends_is_told_of_once(void **state)
{
	struct outlet_view v;

	(void)state;
	close(helper);
	helper = -1;
	await(told_of_loss[0]);
	send_event("{1}");
	v = settled(0, 0);
	assert_true(v.lost);
	assert_string_equal(v.error, "the helper process is gone");
	assert_int_equal(v.dropped, 1);
}

static void the_end_does_not_wait_long_for_a_helper(void **state)
{
	(void)state;
	send_event("{1}");
	send_event("{2}");
	await(helper); /* it never answers */
	hook_close(TAKE_PTR(hook));
}

static void without_a_helper_there_is_no_hook_until_the_next_mount(void **state)
{
	const struct hook_options o = { .volume = "v", .link = -1 };
	struct errmsg err = { 0 };
	struct hook *none;

	(void)state;
	assert_int_equal(hook_open(&o, &none, &err), 0);
	hook_send(none, AUDIT_MAJOR, "state", "{}", 2);
	assert_int_equal(hook_replace(none, NULL, &err), 0);
	assert_int_equal(hook_replace(none, "/bin/sh", &err), -EOPNOTSUPP);
	hook_close(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_keep_their_order),
		cmocka_unit_test(minor_events_give_way_to_all_and_major_ones_to_major_ones),
		cmocka_unit_test(changes_of_state_outlive_probes),
		cmocka_unit_test(a_queue_is_bounded_in_bytes),
		cmocka_unit_test(signatures_are_over_time_and_body),
		cmocka_unit_test(webhook_files_are_a_url_and_a_key),
		cmocka_unit_test(other_webhook_files_are_refused_without_a_word_of_theirs),
		cmocka_unit_test_setup_teardown(commands_are_run_in_turn_and_their_ends_counted,
						open_hook, close_hook),
		cmocka_unit_test_setup_teardown(a_helper_that_ends_is_told_of_once, open_hook,
						close_hook),
		cmocka_unit_test_setup_teardown(the_end_does_not_wait_long_for_a_helper, open_hook,
						close_hook),
		cmocka_unit_test(without_a_helper_there_is_no_hook_until_the_next_mount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
