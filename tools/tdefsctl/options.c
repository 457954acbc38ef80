/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "completion.h"

#define FIRST_LONG 256 /* what getopt_long answers for the first of the table */

enum option_kind { KIND_SWITCH, KIND_TEXT, KIND_TIME, KIND_LIST };

static const struct {
	const char *name;
	enum option_kind kind;
	unsigned offset; /* in struct call */
	const char *argument;
	const char *what;
} options[OPTION_COUNT] = {
#define CALL(member) ((unsigned)offsetof(struct call, member))
	[OPTION_CONFIG] = { "config", KIND_TEXT, CALL(config_path), "FILE",
			    "settings, else " CONFIG_DEFAULT_PATH },
	[OPTION_JSON] = { "json", KIND_SWITCH, CALL(json), NULL, "one line of JSON" },
	[OPTION_HELP] = { "help", KIND_SWITCH, CALL(help), NULL, "this" },
	[OPTION_VERSION] = { "version", KIND_SWITCH, CALL(version), NULL, "which tdefs this is" },
	[OPTION_YES] = { "yes", KIND_SWITCH, CALL(yes), NULL, "do not ask" },
	[OPTION_WITHOUT_KEY] = { "without-key", KIND_SWITCH, CALL(without_key), NULL,
				 "ask no vault; no HMAC is checked" },
	[OPTION_WITHOUT_XATTRS] = { "without-xattrs", KIND_SWITCH, CALL(without_xattrs), NULL,
				    "leave extended attributes and ACLs behind" },
	[OPTION_KEY_IS_BACKED_UP] = { "key-is-backed-up", KIND_SWITCH, CALL(key_is_backed_up), NULL,
				      "you keep a backup of the key, as the policy wants" },
	[OPTION_FOR] = { "for", KIND_TIME, CALL(for_ms), "T", "how long: 30s, 5m, 4h" },
	[OPTION_OUTAGE] = { "outage", KIND_SWITCH, CALL(outage), NULL, "as if no vault answered" },
	[OPTION_DENIAL] = { "denial", KIND_SWITCH, CALL(denial), NULL,
			    "as if the key were revoked" },
	[OPTION_HA] = { "ha", KIND_SWITCH, CALL(ha), NULL, "do both vaults unwrap the same DEK?" },
	[OPTION_WATCH] = { "watch", KIND_SWITCH, CALL(watch), NULL, "go on until interrupted" },
	[OPTION_FOLLOW] = { "follow", KIND_SWITCH, CALL(follow), NULL, "go on with what comes" },
	[OPTION_VERIFY] = { "verify", KIND_SWITCH, CALL(verify), NULL,
			    "is each line there, as it was written?" },
	[OPTION_ANCHOR] = { "anchor", KIND_TEXT, CALL(anchor), "SEQ:HASH",
			    "with --verify: this event must be in it" },
	[OPTION_TO] = { "to", KIND_TEXT, CALL(to), "KID", "the key that wraps from now on" },
	[OPTION_RETIRE] = { "retire", KIND_SWITCH, CALL(retire), NULL,
			    "keep no slot of an earlier key" },
	[OPTION_FROM_PREVIOUS] = { "from-previous", KIND_SWITCH, CALL(from_previous), NULL,
				   "the active key is lost: by the previous slot" },
	[OPTION_UNPIN] = { "unpin", KIND_SWITCH, CALL(unpin), NULL,
			   "follow the newest version again" },
	[OPTION_ALL] = { "all", KIND_SWITCH, CALL(all), NULL, "each volume of tdefs.conf" },
	[OPTION_IN] = { "in", KIND_LIST, CALL(in), "DIR",
			"search what is beneath, too; may be repeated" },
	[OPTION_FORCE] = { "force", KIND_SWITCH, CALL(force), NULL,
			   "also where it is refused as older" },
	[OPTION_TEXTFILE] = { "textfile", KIND_TEXT, CALL(textfile), "FILE",
			      "for node_exporter: replaced whole; exit 0 once it is" },
	[OPTION_SECURITY] = { "security", KIND_SWITCH, CALL(security), NULL,
			      "what confines the daemon, and what does not" },
	[OPTION_DRY_RUN] = { "dry-run", KIND_SWITCH, CALL(dry_run), NULL,
			     "ask and check everything, change nothing" },
#undef CALL
};

/* Short names: "-c" for "--config". */
static const char letters[OPTION_COUNT] = { [OPTION_CONFIG] = 'c', [OPTION_JSON] = 'j' };

static_assert(OPTION_COUNT <= 64, "a set of options has 64 bits");

static int add_to_list(struct text_list *list, char *text)
{
	char **texts = reallocarray(list->texts, list->count + 1, sizeof(*texts));

	if (!texts)
		return -ENOMEM;
	list->texts = texts;
	texts[list->count++] = text;
	return 0;
}

static int take(struct call *call, enum option_id id, char *argument)
{
	void *field = (char *)call + options[id].offset;

	call->given |= OPTION_BIT(id);
	switch (options[id].kind) {
	case KIND_SWITCH:
		*(bool *)field = true;
		return 0;
	case KIND_TEXT:
		*(const char **)field = argument;
		return 0;
	case KIND_LIST:
		return add_to_list(field, argument) < 0 ? usage_fail(call, "out of memory") : 0;
	case KIND_TIME:
		if (config_duration(argument, field) < 0 || *(uint64_t *)field == 0)
			return usage_fail(call, "--for takes a time such as 30s or 5m");
		return 0;
	}
	return 0;
}

static void fill_long_options(struct option long_options[static OPTION_COUNT + 1])
{
	for (int i = 0; i < OPTION_COUNT; i++)
		long_options[i] = (struct option){
			.name = options[i].name,
			.has_arg = options[i].argument ? required_argument : no_argument,
			.val = FIRST_LONG + i,
		};
	long_options[OPTION_COUNT] = (struct option){ 0 };
}

/* By what getopt_long(3) answered; -1: it is none. */
static int option_of(int c)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (c == FIRST_LONG + i || (letters[i] && c == letters[i]))
			return i;
	return -1;
}

int options_parse(struct call *call, int argc, char **argv)
{
	struct option long_options[OPTION_COUNT + 1];
	int c, r = 0;

	fill_long_options(long_options);
	while (r == 0 && (c = getopt_long(argc, argv, "c:j", long_options, NULL)) != -1) {
		int id = option_of(c);

		r = id < 0 ? usage_fail(call, "unusable arguments") /* getopt_long(3) said which */
			   : take(call, (enum option_id)id, optarg);
	}
	return r;
}

void options_release(struct call *call)
{
	free(call->in.texts);
	call->in = (struct text_list){ 0 };
}

const char *options_foreign(const struct call *call, uint64_t allowed)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (call->given & ~allowed & OPTION_BIT(i))
			return options[i].name;
	return NULL;
}

void options_describe(struct described_option *out)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		out[i] = (struct described_option){ options[i].name, letters[i],
						    options[i].argument, options[i].what };
}

void options_print(uint64_t which)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		const char *argument = options[i].argument ? options[i].argument : "";
		char letter[] = { '-', letters[i], ',', '\0' };

		if (which & OPTION_BIT(i))
			printf("  %3s --%s %-*s %s\n", letters[i] ? letter : "", options[i].name,
			       18 - (int)strlen(options[i].name), argument, options[i].what);
	}
}
