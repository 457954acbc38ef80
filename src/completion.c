/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "completion.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/cleanup.h"
#include "tdefs/config.h"

#define TOKEN_MAX 160 /* one word of a synopsis */

/* What was typed so far, understood. */
struct typed {
	const struct description *of;
	const char *last;		       /* the word to go on with */
	const char *config;		       /* --config, or NULL */
	const struct described_verb *verb;     /* NULL: not given yet */
	const struct described_option *option; /* `last` is its argument; NULL: it is none */
	size_t narguments;		       /* of the verb, before `last` */
};

/* Candidates begin with what was typed; the "--option=" before it is kept. */
struct answer {
	const struct typed *typed;
	const char *kept;
	size_t kept_len;
	const char *prefix;
};

static void offer(const struct answer *a, const char *value, const char *what)
{
	if (value && strncmp(value, a->prefix, strlen(a->prefix)) == 0)
		printf("%.*s%s\t%s\n", (int)a->kept_len, a->kept, value, what);
}

static void offer_kids(const struct answer *a, const char *list, const char *what)
{
	char kid[KID_MAX + 1];

	while (list && settings_next_linked(&list, kid))
		offer(a, kid, what);
}

static void offer_configured(const struct answer *a, bool kids)
{
	CLEANUP_CONFIG struct config *config = NULL;
	struct errmsg ignored;

	if (config_load(a->typed->config, &config, &ignored) < 0)
		return;
	for (size_t i = 0; i < config->nvolumes; i++) {
		const struct volume_config *v = &config->volumes[i];

		if (!kids) {
			offer(a, v->name, v->mount);
			continue;
		}
		offer(a, v->settings.protector, v->name);
		offer(a, v->settings.secondary, v->name);
		offer_kids(a, v->settings.linked, v->name);
	}
}

static bool is_any(const char *word, const char *const names[])
{
	for (; *names; names++)
		if (strcmp(word, *names) == 0)
			return true;
	return false;
}

static void offer_placeholder(const struct answer *a, const char *word, const char *what)
{
	static const char *const directories[] = { "DIR", "SRC", "DST", NULL };
	static const char *const files[] = { "FILE", "PATH", "PEM", NULL };

	if (strcmp(word, "NAME") == 0)
		offer_configured(a, false);
	else if (strcmp(word, "KID") == 0)
		offer_configured(a, true);
	else if (is_any(word, directories))
		puts(":dirs");
	else if (is_any(word, files))
		puts(":files");
	else if (!isupper((unsigned char)word[0]) && word[0] != '-')
		offer(a, word, what);
}

/* Each of "this|that". */
static void offer_alternatives(const struct answer *a, const char *text, const char *what)
{
	char word[TOKEN_MAX];

	while (*text) {
		const size_t len = strcspn(text, "|");

		(void)snprintf(word, sizeof(word), "%.*s", (int)len, text);
		offer_placeholder(a, word, what);
		text += len + (text[len] == '|');
	}
}

/* The next word of a synopsis without what says that it may be left out or repeated. */
static bool next_token(const char **at, char out[static TOKEN_MAX])
{
	size_t n = 0;

	*at += strspn(*at, " ");
	for (; **at && **at != ' '; (*at)++)
		if (!strchr("[].", **at) && n + 1 < TOKEN_MAX)
			out[n++] = **at;
	out[n] = '\0';
	return n > 0;
}

/* The synopsis' word for the argument that is to come. */
static bool argument_token(const struct typed *t, char out[static TOKEN_MAX])
{
	const char *at = t->verb->arguments;
	size_t place = 0;

	while (next_token(&at, out)) {
		if (strncmp(out, "--", 2) == 0) {
			if (!next_token(&at, out)) /* the option's argument */
				return false;
			continue;
		}
		if (place++ == t->narguments)
			return true;
	}
	return false;
}

static void offer_options(const struct answer *a)
{
	const struct description *of = a->typed->of;
	const uint64_t which = of->common | (a->typed->verb ? a->typed->verb->options : 0);
	char text[TOKEN_MAX];

	for (size_t i = 0; i < of->noptions; i++) {
		if (!(which & (uint64_t)1 << i))
			continue;
		(void)snprintf(text, sizeof(text), "--%s", of->options[i].name);
		offer(a, text, of->options[i].what);
	}
}

/* "--name" or "--name=..." or "-n"; NULL: it is no option that we have. */
static const struct described_option *option_of(const struct description *of, const char *word)
{
	const size_t len = strcspn(word, "=");

	for (size_t i = 0; i < of->noptions; i++) {
		const struct described_option *o = &of->options[i];

		if (o->letter && word[0] == '-' && word[1] == o->letter && !word[2])
			return o;
		if (strncmp(word, "--", 2) == 0 && strlen(o->name) == len - 2 &&
		    strncmp(word + 2, o->name, len - 2) == 0)
			return o;
	}
	return NULL;
}

static const struct described_verb *verb_of(const struct description *of, const char *word)
{
	for (size_t i = 0; i < of->nverbs; i++)
		if (strcmp(of->verbs[i].name, word) == 0)
			return &of->verbs[i];
	return NULL;
}

static void understand_option(struct typed *t, const char *word, const char *next)
{
	const struct described_option *o = option_of(t->of, word);
	const char *equals = strchr(word, '=');

	if (!o || !o->argument)
		return;
	if (strcmp(o->name, "config") == 0)
		t->config = equals ? equals + 1 : next;
	if (!equals)
		t->option = o; /* the next word is its argument */
}

static void understand(struct typed *t, int nwords, char **words)
{
	for (int i = 0; i + 1 < nwords; i++) {
		if (t->option)
			t->option = NULL;
		else if (words[i][0] == '-' && words[i][1])
			understand_option(t, words[i], words[i + 1]);
		else if (!t->verb)
			t->verb = verb_of(t->of, words[i]);
		else
			t->narguments++;
	}
	t->last = nwords ? words[nwords - 1] : "";
}

static void answer(const struct typed *t)
{
	const char *equals = strncmp(t->last, "--", 2) == 0 ? strchr(t->last, '=') : NULL;
	const struct described_option *o = equals ? option_of(t->of, t->last) : t->option;
	const size_t kept = equals ? (size_t)(equals + 1 - t->last) : 0;
	const struct answer a = { t, t->last, kept, t->last + kept };
	char token[TOKEN_MAX];

	if (o && o->argument)
		offer_alternatives(&a, o->argument, o->what);
	else if (t->last[0] == '-')
		offer_options(&a);
	else if (t->verb && argument_token(t, token))
		offer_alternatives(&a, token, t->verb->what);
	for (size_t i = 0; !o && !t->verb && i < t->of->nverbs; i++)
		offer(&a, t->of->verbs[i].name, t->of->verbs[i].what);
}

bool completion_is_asked(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "--complete") == 0;
}

void completion_answer(const struct description *of, int argc, char **argv)
{
	struct typed t = { .of = of };

	understand(&t, argc - 2, argv + 2);
	answer(&t);
}
