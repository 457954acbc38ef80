/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include "completion.h"

#define O(id) OPTION_BIT(OPTION_##id)

static const struct verb verbs[] = {
	{ "check", 1, 1, verb_check, "NAME|KID", "is this key fit for it?",
	  "go through what a protector must be", O(HA) },
	{ "format", 1, 1, verb_format, "NAME", "make a new volume",
	  "make an empty backing directory a volume", O(KEY_IS_BACKED_UP) },
	{ "accept-lost", 2, 2, verb_accept_lost, "NAME PATH", "zeros for a lost file",
	  "turn a file whose header is lost into zeros", O(YES) | O(DRY_RUN) },
	{ "verify", 1, 1, verb_verify, "NAME|DIR", "check every file",
	  "check the header, and that of every file", O(WITHOUT_KEY) },
	{ "header", 2, 3, verb_header, "dump|backup|restore NAME|DIR [FILE]",
	  "show, save, put back",
	  "show a volume's header, write it to a new FILE, or put it back from there",
	  O(FORCE) | O(DRY_RUN) },
	{ "restore-proof", 1, 1, verb_restore_proof, "NAME|DIR", "does this copy open?",
	  "unwrap now, check every file with the key, and say which keys it needs", 0 },
	{ "status", 0, 1, verb_status, "[NAME]", "state of one, or of all",
	  "state of one volume, or of all", O(WATCH) | O(SECURITY) },
	{ "metrics", 0, 1, verb_metrics, "[NAME]", "numbers for Prometheus",
	  "what status tells, as numbers, for Prometheus", O(TEXTFILE) },
	{ "events", 0, 1, verb_events, "[NAME]", "the event log",
	  "what happened to the volume and its key", O(FOLLOW) | O(VERIFY) | O(ANCHOR) },
	{ "lock", 1, 1, verb_lock, "NAME", "take the key away",
	  "make the volume inaccessible; only resume undoes it", 0 },
	{ "resume", 1, 1, verb_resume, "NAME", "back online after it",
	  "back online after a lock or an old denial", 0 },
	{ "extend", 1, 1, verb_extend, "NAME --for T", "outlast an outage",
	  "more time in an outage of the vault", O(FOR) },
	{ "drill", 1, 1, verb_drill, "NAME --for T", "rehearse a loss",
	  "behave as if the key were lost", O(FOR) | O(OUTAGE) | O(DENIAL) | O(YES) },
	{ "reload", 1, 1, verb_reload, "NAME", "read tdefs.conf again",
	  "take over timers and hooks from tdefs.conf", 0 },
	{ "safe-to-restart", 1, 1, verb_safe_to_restart, "NAME", "will it come back?",
	  "exit 0: mounted anew, it would be online at once", 0 },
	{ "protectors", 0, 0, verb_protectors, "[--in DIR]...", "who needs which key",
	  "each header found, the keys that open it, and whether they are there", O(IN) },
	{ "safe-to-disable", 1, 1, verb_safe_to_disable, "KID|THUMBPRINT [--in DIR]...",
	  "who needs this key?", "exit 0: nothing that was found needs it", O(IN) },
	{ "sync", 1, 1, verb_sync, "NAME", "all of it to the disk",
	  "make everything that was written durable in the backing", 0 },
	{ "freeze", 1, 1, verb_freeze, "NAME --for T", "still for a snapshot",
	  "sync, then hold changes for so long, for a snapshot", O(FOR) },
	{ "thaw", 1, 1, verb_thaw, "NAME", "end a freeze",
	  "end a freeze; exit 0: it was frozen until now", 0 },
	{ "link", 1, 2, verb_link, "NAME|--all KID [--in DIR]...", "let a key open backups",
	  "write into tdefs.conf that this key, too, may open headers",
	  O(ALL) | O(IN) | O(DRY_RUN) },
	{ "unlink", 1, 2, verb_unlink, "NAME|--all KID [--in DIR]...", "undo it",
	  "take the key out of \"linked\" in tdefs.conf", O(ALL) | O(IN) | O(DRY_RUN) },
	{ "rotate", 0, 1, verb_rotate, "NAME|--all", "another key wraps it",
	  "wrap the DEK by another key; data stays",
	  O(ALL) | O(TO) | O(UNPIN) | O(RETIRE) | O(KEY_IS_BACKED_UP) | O(DRY_RUN) },
	{ "rewrap", 1, 1, verb_rewrap, "NAME|DIR --to KID", "the same for a copy",
	  "another key for a header that is not mounted",
	  O(TO) | O(RETIRE) | O(KEY_IS_BACKED_UP) | O(FROM_PREVIOUS) | O(DRY_RUN) },
	{ "policy", 0, 1, verb_policy, "[NAME]", "is it complied with?",
	  "whether each volume complies with each rule of [policy]", 0 },
	{ "import", 2, 2, verb_import, "SRC NAME", "plain files into it",
	  "copy a directory of plain files into a mounted, empty volume, and verify it",
	  O(WITHOUT_XATTRS) | O(DRY_RUN) },
	{ "export", 2, 2, verb_export, "NAME DST", "plain files out of it",
	  "copy a mounted volume's files out, in plaintext, and verify them",
	  O(YES) | O(WITHOUT_XATTRS) | O(DRY_RUN) },
};

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* Two columns, each read from top to bottom. */
void verbs_print(void)
{
	const size_t rows = (ARRAY_SIZE(verbs) + 1) / 2;

	puts("usage: " PROGRAM " [--config FILE] [--json] VERB ...\n"
	     "       " PROGRAM " VERB --help");
	for (size_t i = 0; i < rows; i++) {
		const struct verb *right = i + rows < ARRAY_SIZE(verbs) ? &verbs[i + rows] : NULL;

		printf("  %-15s %-23s", verbs[i].name, verbs[i].brief);
		if (right)
			printf(" %-15s %s", right->name, right->brief);
		putchar('\n');
	}
	puts("NAME is a volume of tdefs.conf (" CONFIG_DEFAULT_PATH "); a DIR has a slash in it\n"
	     "exit: 0 done or online, 1 failed, 2 usage or configuration, 3 read-only,\n"
	     "  4 inaccessible, 5 not mounted, 6 waiting, 7 policy, 8 try again; the worst");
}

void verb_print(const struct verb *verb)
{
	printf("usage: " PROGRAM " %s %s\n%s\n", verb->name, verb->arguments, verb->what);
	options_print(verb->options | O(CONFIG) | O(JSON));
}

void verbs_complete(int argc, char **argv)
{
	struct described_verb described[ARRAY_SIZE(verbs)];
	struct described_option options[OPTION_COUNT];
	const struct description all = { .verbs = described,
					 .nverbs = ARRAY_SIZE(verbs),
					 .options = options,
					 .noptions = OPTION_COUNT,
					 .common = OPTIONS_OF_ALL };

	options_describe(options);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		described[i] = (struct described_verb){ verbs[i].name, verbs[i].arguments,
							verbs[i].brief, verbs[i].options };
	completion_answer(&all, argc, argv);
}
