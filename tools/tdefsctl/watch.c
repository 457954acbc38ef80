/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefsctl status NAME --watch: on a terminal the whole status, drawn again as
 * it changes; elsewhere a line a change, with --json the whole answer.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "status.h"

#define CLEAR "\033[H\033[2J"

/* The status now (NULL: no memory), and the exit code that it means. */
static json_t *look(struct call *call, const struct volume_config *vc, int *ret_code)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");
	CLEANUP_JSON json_t *answer = NULL;
	int r = request ? control_call(call->config->runtime_dir, vc->name, request, &answer)
			: -ENOMEM;
	const char *target = json_string_value(json_object_get(answer, "target"));

	if (r == 0 && target) {
		*ret_code = state_exit_code(target);
		return TAKE_PTR(answer);
	}
	if (r == -ENOENT || r == -ECONNREFUSED) {
		*ret_code = EXIT_CODE_NOT_MOUNTED;
		return status_of_state(vc, "not mounted");
	}
	*ret_code = EXIT_CODE_FAILED;
	return status_of_state(vc, "unknown");
}

/* What else is worth a line: alarms, and an answer that is no grant. */
static void print_trouble(FILE *out, const json_t *v)
{
	const json_t *access = json_object_get(v, "key_access"), *alarm;
	const json_t *answer = json_object_get(access, "last_answer");
	size_t i;

	if (json_is_true(json_object_get(access, "trouble")))
		fprintf(out, "; the vault: %s",
			json_is_object(answer) ? json_string_value(json_object_get(answer, "class"))
					       : "no answer");
	json_array_foreach(json_object_get(v, "alarms"), i, alarm)
		fprintf(out, "%s%s",
			i ? ", " : "; alarms: ", json_string_value(json_object_get(alarm, "name")));
}

/* What is compared: two that are equal are one. NULL: no memory. */
static char *shown(const json_t *v, bool whole)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	if (whole) {
		status_print(out, v);
	} else {
		status_print_head(out, v);
		print_trouble(out, v);
	}
	return fclose(out) == 0 ? text : NULL;
}

static int print_change(const struct call *call, json_t *v, const char *text, bool whole)
{
	time_t now = time(NULL);
	char when[32];
	struct tm tm;

	if (call->json)
		return print_json(json_incref(v), 0);
	if (whole)
		printf(CLEAR "%s", text);
	else if (gmtime_r(&now, &tm) && strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm))
		printf("%s %s\n", when, text);
	return 0;
}

/* A second, or until somebody has seen enough. */
static bool goes_on(const sigset_t *enough)
{
	return sigtimedwait(enough, NULL, &(struct timespec){ .tv_sec = 1 }) < 0;
}

int status_watch(struct call *call, const struct volume_config *vc)
{
	const bool whole = !call->json && isatty(STDOUT_FILENO);
	CLEANUP_FREE char *last = NULL;
	sigset_t enough;
	int code;

	sigemptyset(&enough);
	sigaddset(&enough, SIGINT);
	sigaddset(&enough, SIGTERM);
	sigprocmask(SIG_BLOCK, &enough, NULL);
	do {
		CLEANUP_JSON json_t *v = look(call, vc, &code);
		CLEANUP_FREE char *text = v ? shown(v, whole) : NULL;

		if (!text)
			return print_json(NULL, EXIT_CODE_FAILED);
		if (!last || strcmp(last, text) != 0) {
			if (print_change(call, v, text, whole) != 0 || fflush(stdout) != 0)
				return EXIT_CODE_FAILED;
			free(last);
			last = TAKE_PTR(text);
		}
	} while (code != EXIT_CODE_NOT_MOUNTED && goes_on(&enough));
	return code;
}
