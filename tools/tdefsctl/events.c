/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl events: what the event log holds, what comes, and whether all of it is there. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tdefs/audit_read.h"
#include "tdefs/text.h"
#include "tdefsctl.h"

#define FOLLOW_FIRST 10	 /* lines that are shown of those that are there */
#define FOLLOW_MS    250 /* between two looks */

/* --- listing --- */

/* A line as it is shown; owned. NULL: no memory. */
static char *shown(const struct call *call, const struct audit_raw *raw)
{
	char *text = NULL;

	if (raw->whole)
		text = call->json ? strndup(raw->text, raw->len) : audit_text(raw->text, raw->len);
	if (!text && !call->json &&
	    asprintf(&text, "(%s:%llu is not an event)", raw->file,
		     (unsigned long long)raw->number) < 0)
		return NULL;
	return text;
}

static void show(const struct call *call, const struct audit_raw *raw)
{
	char *text = shown(call, raw);

	if (text)
		puts(text);
	free(text);
}

static int list(struct call *call, struct audit_reader *reader)
{
	struct audit_raw raw;
	int r;

	while ((r = audit_reader_next(reader, &raw)) > 0)
		show(call, &raw);
	return r;
}

/* The last ones that are there. */
static int show_last(struct call *call, struct audit_reader *reader)
{
	char *last[FOLLOW_FIRST] = { 0 };
	struct audit_raw raw;
	size_t n = 0;
	int r;

	while ((r = audit_reader_next(reader, &raw)) > 0) {
		free(last[n % FOLLOW_FIRST]);
		last[n++ % FOLLOW_FIRST] = shown(call, &raw);
	}
	for (size_t i = 0; i < FOLLOW_FIRST; i++) {
		char *text = last[(n + i) % FOLLOW_FIRST];

		if (text && r == 0)
			puts(text);
		free(text);
	}
	return r;
}

/* Until SIGINT or SIGTERM, or until nobody reads. */
static int follow(struct call *call, struct audit_reader *reader)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = STDOUT_FILENO } };
	sigset_t ends;
	int r;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &ends, NULL) < 0)
		return -errno;
	fds[0].fd = signalfd(-1, &ends, SFD_CLOEXEC);
	if (fds[0].fd < 0)
		return -errno;
	r = show_last(call, reader);
	while (r == 0) {
		if (fflush(stdout) != 0)
			r = -errno;
		else if (poll(fds, ARRAY_SIZE(fds), FOLLOW_MS) > 0)
			break;
		else
			r = list(call, reader);
	}
	close(fds[0].fd);
	return r;
}

/* --- verifying --- */

static const char *const kinds[] = {
	[AUDIT_EDITED] = "edited",     [AUDIT_GAP] = "gap",	    [AUDIT_CUT] = "cut",
	[AUDIT_HEAD] = "head-lost",    [AUDIT_UNKNOWN] = "unknown", [AUDIT_TORN] = "torn",
	[AUDIT_NO_RIGHT] = "no-right",
};

struct verification {
	struct call *call;
	const char *name;
	json_t *findings; /* with --json */
};

static void told(void *arg, enum audit_finding finding, const char *text)
{
	struct verification *v = arg;
	char escaped[1024];

	text_escape(text, escaped, sizeof(escaped));
	if (v->call->json)
		IGNORE_RESULT(json_array_append_new(v->findings,
						    json_pack("{s:s, s:s}", "kind", kinds[finding],
							      "text", escaped)),
			      "the counts tell, too");
	else
		printf("%s: %s: %s\n", v->name, kinds[finding], escaped);
}

static void print_check(const char *name, const struct audit_check *c)
{
	uint64_t open = c->last_seq - c->last_anchor;

	printf("%s: %llu events, %llu to %llu: %s\n", name, (unsigned long long)c->nlines,
	       (unsigned long long)c->first_seq, (unsigned long long)c->last_seq,
	       c->ndamaged ? "DAMAGED" : "whole");
	if (open > 0)
		printf("%s: %llu events since the last anchor: only this host vouches for them\n",
		       name, (unsigned long long)open);
}

static int print_check_json(const struct verification *v, const struct audit_check *c, int code)
{
	return print_json(json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "name", v->name,
				    "whole", c->ndamaged == 0, "events", (json_int_t)c->nlines,
				    "first", (json_int_t)c->first_seq, "last",
				    (json_int_t)c->last_seq, "since_anchor",
				    (json_int_t)(c->last_seq - c->last_anchor), "torn",
				    (json_int_t)c->ntorn, "findings", v->findings),
			  code);
}

/* SEQ:HASH */
static bool parse_anchor(const char *text, struct audit_verify_options *o)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18 || text[digits] != ':' ||
	    strlen(text + digits + 1) != 2 * (size_t)SHA256_LEN ||
	    !hex_decode(text + digits + 1, o->anchor_hash, SHA256_LEN))
		return false;
	o->anchor_seq = strtoull(text, NULL, 10);
	return o->anchor_seq > 0;
}

static int verify(struct call *call, const char *name)
{
	struct verification v = { .call = call, .name = name };
	struct audit_verify_options o = { .event_dir = call->config->event_dir,
					  .state_dir = call->config->state_dir,
					  .volume = name };
	struct audit_check c;
	int code;

	if (call->anchor && !parse_anchor(call->anchor, &o))
		return usage_error(call, "--anchor takes SEQ:HASH of an event");
	v.findings = json_array();
	if (audit_verify(&o, told, &v, &c, &call->err) < 0) {
		json_decref(v.findings);
		return call_failed(call);
	}
	code = c.ndamaged ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
	if (call->json)
		return print_check_json(&v, &c, code);
	json_decref(v.findings);
	print_check(name, &c);
	return code;
}

/* --- the verb --- */

static int show_events(struct call *call, const char *name)
{
	CLEANUP_AUDIT_READER struct audit_reader *reader = NULL;
	int r = audit_reader_open(call->config->event_dir, name, &reader, &call->err);

	if (r < 0)
		return call_failed(call);
	r = call->follow ? follow(call, reader) : list(call, reader);
	if (r < 0) {
		errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: the event log: cannot %s: %s",
			    name, ferror(stdout) ? "print" : "read", errno_text(r));
		return call_failed(call);
	}
	return EXIT_CODE_DONE;
}

int verb_events(struct call *call)
{
	int (*run)(struct call * call, const char *name) = call->verify ? verify : show_events;
	const struct config *config = call->config;
	const struct volume_config *volume;
	int code = EXIT_CODE_DONE;

	if (call->follow && call->verify)
		return usage_error(call, "--follow and --verify do not go together");
	if (call->anchor && !call->verify)
		return usage_error(call, "--anchor goes with --verify");
	if (call->nargs == 1) {
		if (config_volume(config, call->args[0], &volume, &call->err) < 0)
			return call_failed(call);
		return run(call, volume->name);
	}
	if (config->nvolumes != 1 && (call->follow || call->anchor))
		return usage_error(call, "--follow and --anchor are for one volume: give its NAME");
	for (size_t i = 0; i < config->nvolumes; i++)
		code = worse_exit_code(code, run(call, config->volumes[i].name));
	return code;
}
