/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command line may go on with, asked by a shell: PROGRAM --complete WORD...
 * Whoever completes (tools/completions) knows nothing of verbs and options; the
 * tables from which a program is run and explained are all there is.
 *
 * Answers a line a candidate, "VALUE<tab>what it is"; a line ":files" or ":dirs"
 * means that such a path may stand there.
 */
#ifndef TDEFS_COMPLETION_H
#define TDEFS_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct described_option {
	const char *name;
	char letter;	      /* 0: it has none */
	const char *argument; /* NULL: it takes none */
	const char *what;
};

/*
 * `arguments` as in a synopsis: "NAME|DIR [FILE]". What is in capitals stands for
 * something: NAME a volume, KID a configured key, DIR, SRC and DST a directory,
 * FILE and PATH a file; all else in capitals is the user's to know. Other words
 * stand for themselves.
 */
struct described_verb {
	const char *name, *arguments, *what;
	uint64_t options; /* its own, as bits of the place in the table of options */
};

struct description {
	const struct described_verb *verbs;
	size_t nverbs;
	const struct described_option *options;
	size_t noptions;
	uint64_t common; /* options of every verb, as bits */
};

/* Is this call a shell's question? */
bool completion_is_asked(int argc, char **argv);

/* Answer it on standard output; the words follow "--complete", the last is the unfinished one. */
void completion_answer(const struct description *of, int argc, char **argv);

#endif
