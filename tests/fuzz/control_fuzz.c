/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of any bytes to the control socket: one JSON answer each, inside the volume. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "fuzz.h"
#include "tdefs/control.h"
#include "tdefs/log.h"

static char dir[TEMPORARY_PATH_MAX];
static struct config *config;
static struct volume *volume;

static void remove_all(void)
{
	IGNORE_RESULT(volume_close(volume), "nothing was written");
	config_free(config);
	if (temporary_remove(dir) != 0)
		perror(dir);
}

static void make_volume(void)
{
	const struct volume_options options = { .sys = &sysio_kernel };
	const struct vault_watch watch = { .volume = "v" };
	const struct volume_config *vc;
	struct volume_header header;
	struct errmsg err = { 0 };
	char text[2048];

	(void)snprintf(text, sizeof(text),
		       "[server]\nprotector = file:%s/key.pem\nstate_dir = %s/state\n"
		       "[volume v]\nbacking = %s/back\nmount = %s/mnt\n",
		       dir, dir, dir, dir);
	assert(config_parse("fuzz.conf", text, &config, &err) == 0);
	assert(config_volume(config, "v", &vc, &err) == 0);
	assert(volume_format(&sysio_kernel, config, vc, &watch, 1700000000, &header, &err) == 0);
	assert(volume_open(config, vc, &options, &volume, &err) == 0);
	assert(volume_start(volume, &err) == 0);
	assert(guard_runner_wait(volume_guard(volume), 0) == GUARD_ONLINE);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char command[1024];

	(void)argc, (void)argv;
	assert(temporary_directory(dir) == 0);
	(void)snprintf(command, sizeof(command),
		       "cd %s && mkdir -m 700 back && mkdir mnt && "
		       "install -m 600 " TDEFS_VECTORS "/oaep_key.pem key.pem",
		       dir);
	assert(system(command) == 0); /* NOLINT(cert-env33-c): a test's own words */
	assert(log_open("/dev/null") == 0);
	make_volume();
	return atexit(remove_all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct control_context context = { .volume = volume, .libfuse = "3.14" };
	char *answer;
	json_t *json;

	if (size > CONTROL_REQUEST_MAX)
		return 0;
	answer = control_answer(&context, (const char *)data, size, size % 2 ? 0 : 1000);
	json = answer ? json_loads(answer, 0, NULL) : NULL;
	assert(json_is_object(json));
	assert(json_integer_value(json_object_get(json, "schema")) == CONTROL_SCHEMA);
	json_decref(json);
	free(answer);
	return 0;
}
