/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "key_answers.h"

#include <errno.h>
#include <string.h>

#include "tdefs/protector.h"
#include "tdefs/secret.h"

struct question {
	const struct survey *survey;
	const char *verb;
	struct key_answers *answers;
};

static bool is_same_key(const struct key_slot *a, const struct key_slot *b)
{
	return strcmp(a->kid, b->kid) == 0 &&
	       memcmp(a->thumbprint, b->thumbprint, THUMBPRINT_LEN) == 0;
}

/* Only a key that is configured or linked: a header must not say which vault is contacted. */
static const struct settings *settings_opening(const struct config *config,
					       const struct survey_header *h, const char *kid)
{
	const struct settings *own = h->volume ? &h->volume->settings : NULL;

	if (own && protector_covers(protector_that_opens(own, kid), kid))
		return own;
	return volume_settings_opening(config, kid);
}

/* An answer of the same vault that it did not give; not for want of a credential. */
static const struct key_answer *silent_vault(const struct key_answers *a, const char *kid)
{
	char host[KID_VAULT_MAX], other[KID_VAULT_MAX];

	if (vault_host_of(kid, host) < 0)
		return NULL;
	for (size_t i = 0; i < a->count; i++)
		if (a->list[i].allowed && a->list[i].verdict == VAULT_UNREACHABLE &&
		    !a->list[i].for_credential && vault_host_of(a->list[i].slot->kid, other) == 0 &&
		    strcmp(host, other) == 0)
			return &a->list[i];
	return NULL;
}

static int keep_error(struct key_answer *answer, const struct errmsg *error)
{
	answer->error = malloc(sizeof(*answer->error));
	if (!answer->error)
		return -ENOMEM;
	*answer->error = *error;
	text_escape_message(answer->error);
	return 0;
}

static void probe(const struct question *q, const struct survey_header *h,
		  const struct settings *settings, struct key_answer *answer,
		  struct vault_report *report)
{
	struct call *call = q->survey->call;
	const char *kid = answer->slot->kid;
	const char *volume = h->volume ? h->volume->name : call_volume_of(call, kid);
	const struct vault_watch watch = call_watch(call, q->verb, h->path, volume);
	CLEANUP_WATCHED_VAULT struct watched_vault *vault = NULL;

	if (watched_vault_open(&watch, kid, settings, &clock_kernel, &vault, &report->error) < 0) {
		report->verdict = VAULT_BROKEN;
		return;
	}
	(void)keyring_probe(watched_vault_of(vault), answer->slot, h->path, &clock_kernel,
			    VAULT_PROBE_TIMEOUT_MS, report);
}

static int ask(const struct question *q, const struct survey_header *h, struct key_answer *answer)
{
	const char *kid = answer->slot->kid;
	const struct settings *settings = settings_opening(q->survey->call->config, h, kid);
	const struct key_answer *silent = silent_vault(q->answers, kid);
	struct vault_report report = { .verdict = VAULT_BROKEN };

	answer->allowed = settings;
	if (!settings) {
		errmsg_next(&report.error, "tdefsctl link --all %s, if it is to open old headers",
			    kid);
		(void)errmsg_fail(&report.error, -EKEYREJECTED, EXIT_CODE_CONFIG,
				  "%s is neither configured nor linked: nobody was asked", kid);
	} else if (silent) {
		report.verdict = silent->verdict;
		report.error = *silent->error;
	} else {
		probe(q, h, settings, answer, &report);
		call_close_log(q->survey->call);
	}
	answer->verdict = report.verdict;
	answer->for_credential = report.credential_alarm;
	return answer->allowed && report.verdict == VAULT_GRANTED
		       ? 0
		       : keep_error(answer, &report.error);
}

static int add(const struct question *q, const struct survey_header *h, const struct key_slot *slot)
{
	struct key_answers *a = q->answers;
	struct key_answer answer = { .slot = slot };
	struct key_answer *list;
	int r;

	if (key_answer_of(a, slot))
		return 0;
	list = reallocarray(a->list, a->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	a->list = list;
	r = ask(q, h, &answer);
	list[a->count++] = answer;
	return r;
}

int key_answers_take(const struct survey *s, const char *verb, struct key_answers *ret_answers)
{
	const struct question q = { s, verb, ret_answers };
	int r = 0;

	*ret_answers = (struct key_answers){ 0 };
	secret_lock_memory(s->call->config->server.lock_memory);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		for (size_t j = 0; r == 0 && j < s->headers[i].nslots; j++)
			r = add(&q, &s->headers[i], &s->headers[i].slots[j]);
	return r < 0 ? errmsg_fail(&s->call->err, r, EXIT_CODE_FAILED, "cannot ask for keys: %s",
				   errno_text(r))
		     : 0;
}

void key_answers_release(struct key_answers *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->list[i].error);
	free(a->list);
	*a = (struct key_answers){ 0 };
}

const struct key_answer *key_answer_of(const struct key_answers *a, const struct key_slot *slot)
{
	for (size_t i = 0; i < a->count; i++)
		if (is_same_key(a->list[i].slot, slot))
			return &a->list[i];
	return NULL;
}

const char *key_answer_text(const struct key_answer *a)
{
	return a->allowed ? vault_verdict_name(a->verdict) : "not asked";
}

int key_answer_code(const struct key_answer *a)
{
	if (!a->allowed)
		return EXIT_CODE_CONFIG;
	switch (a->verdict) {
	case VAULT_GRANTED:
		return EXIT_CODE_DONE;
	case VAULT_DENIED:
		return EXIT_CODE_INACCESSIBLE;
	case VAULT_UNREACHABLE:
		return EXIT_CODE_TRY_AGAIN;
	case VAULT_BROKEN:
		break;
	}
	return EXIT_CODE_FAILED;
}
