/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of any text: read, or refused with a sentence and a next step. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tdefs/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct config *config = NULL;
	struct errmsg err = { 0 };
	int r;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	r = config_parse("fuzz.conf", text, &config, &err);
	assert((r == 0) == (config != NULL));
	if (r < 0)
		assert(err.text[0] && err.next[0]);
	for (size_t i = 0; config && i < config->nvolumes; i++) {
		const struct volume_config *vc = &config->volumes[i];

		assert(vc->name[0] && !strchr(vc->name, '/') && vc->name[0] != '.');
		assert(vc->backing[0] == '/' && vc->mount[0] == '/');
		assert(vc->settings.protector);
	}
	config_free(config);
	free(text);
	return 0;
}
