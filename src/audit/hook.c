/* SPDX-License-Identifier: Apache-2.0 */
/* The hook: one event after the other to the helper that runs the command. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outlet.h"
#include "tdefs/clock.h"
#include "tdefs/hook_link.h"
#include "tdefs/log.h"

/* A helper that does not answer so long after the command's time is stuck. */
#define ANSWER_MS (HOOK_RUN_MS + 60000)

struct hook {
	struct outlet outlet;
	int link;		      /* the thread's; -1: no helper */
	pthread_mutex_t command_lock; /* guards the command; taken alone */
	char *command;
	pthread_mutex_t lost_lock; /* guards the three below; above the recorder's lock */
	bool is_lost;
	void (*lost)(void *arg);
	void *lost_arg;
};

/* The length of a job, or 0: there is no command. */
static size_t write_job(struct hook *h, const struct event *e, char *job, size_t room)
{
	LOCK_SCOPE(&h->command_lock);
	size_t words = h->command ? strlen(h->command) + 1 : 0;

	if (words == 0 || words + e->len > room)
		return 0;
	memcpy(job, h->command, words);
	memcpy(job + words, e->line, e->len);
	return words + e->len;
}

/* 0, -ECANCELED at the end of the time to stop, or the reason why there is no answer. */
static int receive_answer(struct hook *h, struct hook_answer *ret_answer)
{
	const uint64_t until_ms = clock_kernel.boot_ms() + ANSWER_MS;

	for (;;) {
		uint64_t now_ms = clock_kernel.boot_ms();

		if (outlet_is_over(&h->outlet))
			return -ECANCELED;
		if (now_ms >= until_ms)
			return -ETIMEDOUT;
		if (outlet_wait(&h->outlet, h->link, until_ms - now_ms))
			break;
	}
	return recv(h->link, ret_answer, sizeof(*ret_answer), MSG_DONTWAIT) == sizeof(*ret_answer)
		       ? 0
		       : -EPIPE;
}

static void note(struct outlet *o, const char *command, const struct hook_answer *a)
{
	int word = (int)strcspn(command, " \t");

	switch ((enum hook_outcome)a->outcome) {
	case HOOK_EXITED:
		if (a->value == 0)
			outlet_sent(o);
		else
			outlet_trouble(o, true, "%.*s: exit status %d", word, command, a->value);
		break;
	case HOOK_SIGNALLED:
		outlet_trouble(o, true, "%.*s: ended by signal %d", word, command, a->value);
		break;
	case HOOK_TIMED_OUT:
		outlet_trouble(o, true, "%.*s: ended after %d s", word, command,
			       HOOK_RUN_MS / 1000);
		break;
	default:
		outlet_trouble(o, true, "%.*s: cannot be run: %s", word, command,
			       errno_text(a->value));
	}
}

static int deliver(struct hook *h, const struct event *e, char *job)
{
	size_t len = write_job(h, e, job, HOOK_COMMAND_MAX + HOOK_LINE_MAX);
	struct hook_answer answer;
	int r;

	if (len == 0)
		return 0;
	if (send(h->link, job, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	r = receive_answer(h, &answer);
	if (r == 0)
		note(&h->outlet, job, &answer);
	return r;
}

static void lose(struct hook *h, int r)
{
	outlet_lost(&h->outlet, "the helper process is gone");
	log_error("volume %s: event=hook_lost: the process that runs on_event is gone (%s); it "
		  "tells of no event until the next mount",
		  h->outlet.volume, errno_text(r));
	LOCK_SCOPE(&h->lost_lock);
	h->is_lost = true;
	if (h->lost)
		h->lost(h->lost_arg);
}

static void *run(void *arg)
{
	CLEANUP_FREE char *job = malloc(HOOK_COMMAND_MAX + HOOK_LINE_MAX);
	struct hook *h = arg;
	int r = job ? 0 : -ENOMEM;

	while (r == 0) {
		CLEANUP_FREE struct event *e = outlet_next(&h->outlet, h->link);

		if (e)
			r = deliver(h, e, job);
		else
			r = outlet_is_stopping(&h->outlet) ? -ECANCELED : -EPIPE;
	}
	if (r != -ECANCELED)
		lose(h, r);
	return NULL;
}

static int set_command(struct hook *h, const char *command)
{
	char *copy = command ? strdup(command) : NULL;

	if (command && !copy)
		return -ENOMEM;
	LOCK_SCOPE(&h->command_lock);
	free(h->command);
	h->command = copy;
	return 0;
}

static int open_hook(struct hook *h, const struct hook_options *o)
{
	int r = outlet_init(&h->outlet, "hook", o->volume);

	if (r == 0)
		r = set_command(h, o->command);
	if (r < 0 || h->link < 0)
		return r;
	outlet_turn(&h->outlet, o->command);
	return outlet_start(&h->outlet, run, h);
}

int hook_open(const struct hook_options *o, struct hook **ret_hook, struct errmsg *reterr)
{
	struct hook *h = calloc(1, sizeof(*h));
	int r;

	if (!h) {
		if (o->link >= 0)
			close(o->link);
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	}
	h->command_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	h->link = o->link;
	h->lost_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	h->outlet.wake_fd = -1;
	r = open_hook(h, o);
	if (r < 0) {
		hook_close(h);
		errmsg_next(reterr, "free memory or raise the limit of threads, then try again");
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot start the hook: %s",
				   errno_text(r));
	}
	*ret_hook = h;
	return 0;
}

int hook_replace(struct hook *h, const char *command, struct errmsg *reterr)
{
	int r;

	if (!command && h->link < 0)
		return 0;
	if (h->link < 0) {
		errmsg_next(reterr, "unmount and mount it");
		return errmsg_fail(reterr, -EOPNOTSUPP, EXIT_CODE_FAILED,
				   "volume %s was mounted without on_event, which begins with the "
				   "mount",
				   h->outlet.volume);
	}
	r = command ? hook_check_command(command, reterr) : 0;
	if (r < 0)
		return r;
	if (set_command(h, command) < 0)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	outlet_turn(&h->outlet, command);
	return 0;
}

void hook_watch(struct hook *h, void (*lost)(void *arg), void *arg)
{
	LOCK_SCOPE(&h->lost_lock);

	h->lost = lost;
	h->lost_arg = arg;
	if (lost && h->is_lost)
		lost(arg);
}

void hook_send(void *hook, enum audit_weight weight, const char *event, const char *line,
	       size_t len)
{
	struct hook *h = hook;

	if (len <= HOOK_LINE_MAX)
		outlet_push(&h->outlet, audit_rank_of(weight, event), line, len);
}

void hook_view(struct hook *h, struct outlet_view *ret_view)
{
	*ret_view = (struct outlet_view){ 0 };
	if (h)
		outlet_view(&h->outlet, ret_view);
}

void hook_stop(struct hook *h)
{
	if (h)
		outlet_stop(&h->outlet);
}

void hook_close(struct hook *h)
{
	if (!h)
		return;
	outlet_stop(&h->outlet);
	outlet_release(&h->outlet);
	if (h->link >= 0)
		close(h->link); /* the helper ends, after a command that runs */
	free(h->command);
	free(h);
}

static int refuse(struct errmsg *reterr, const char *command, const char *why)
{
	errmsg_next(reterr, "let \"on_event\" be an absolute path of a program, and its arguments, "
			    "with blanks between them; there is no shell");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "on_event = %s: %s", command, why);
}

int hook_check_command(const char *command, struct errmsg *reterr)
{
	CLEANUP_FREE char *path = strndup(command, strcspn(command, " \t"));
	struct stat st;

	if (!path)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	if (path[0] != '/')
		return refuse(reterr, command, "not an absolute path");
	if (strlen(command) >= HOOK_COMMAND_MAX)
		return refuse(reterr, command, "too long");
	if (stat(path, &st) < 0)
		return refuse(reterr, command, errno_text(errno));
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return refuse(reterr, command, "not a program");
	return 0;
}
