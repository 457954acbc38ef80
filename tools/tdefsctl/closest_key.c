/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "closest_key.h"

#include <stdlib.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's: how many letters are to be changed, added or left out. */
static size_t distance(const char *a, const char *b)
{
	const size_t alen = strnlen(a, CLOSEST_KEY_MAX), blen = strnlen(b, CLOSEST_KEY_MAX);
	size_t row[CLOSEST_KEY_MAX + 1];

	for (size_t j = 0; j <= blen; j++)
		row[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t changed = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = least(changed, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[blen];
}

void closest_key_offer(struct closest_key *closest, const char *wanted, const char *offer)
{
	size_t d;
	char *copy;

	if (closest->text && strcmp(closest->text, offer) == 0)
		return;
	d = distance(wanted, offer);
	copy = !closest->text || d < closest->distance ? strdup(offer) : NULL;
	if (!copy)
		return;
	free(closest->text);
	*closest = (struct closest_key){ copy, d };
}

void closest_key_release(struct closest_key *closest)
{
	free(closest->text);
	*closest = (struct closest_key){ 0 };
}
