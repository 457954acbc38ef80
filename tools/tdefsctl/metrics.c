/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefsctl metrics: what the daemons tell, as one text. Each has every family;
 * in the format a family is told once, with the samples of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tdefs/atomic_file.h"
#include "tdefsctl.h"

#define TEXTFILE_MODE 0644 /* its reader is another user */

#define FAMILY "# HELP "

/* A volume's text; owned. */
struct part {
	char *text;
};

static void free_parts(struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(parts[i].text);
	free(parts);
}

/* Where the family after this one begins; the end, when it is the last. */
static const char *family_end(const char *family)
{
	const char *next = strstr(family, "\n" FAMILY);

	return next ? next + 1 : family + strlen(family);
}

static const char *name_of(const char *family, size_t *ret_len)
{
	const char *name = family + strlen(FAMILY);

	*ret_len = strcspn(name, " \n");
	return name;
}

/* The family of the same name in another text; NULL: it has none. */
static const char *same_family(const char *text, const char *family)
{
	size_t len, other_len;
	const char *name = name_of(family, &len);

	while (*text) {
		const char *other = name_of(text, &other_len);

		if (len == other_len && memcmp(name, other, len) == 0)
			return text;
		text = family_end(text);
	}
	return NULL;
}

static void write_family(FILE *out, const char *family, bool with_head)
{
	const char *end = family_end(family), *line = family;

	while (line < end) {
		size_t len = strcspn(line, "\n") + 1;

		if (with_head || *line != '#')
			(void)fwrite(line, 1, len, out);
		line += len;
	}
}

static bool is_in_earlier(const struct part *parts, size_t i, const char *family)
{
	for (size_t j = 0; j < i; j++)
		if (same_family(parts[j].text, family))
			return true;
	return false;
}

static void write_merged(FILE *out, const struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (const char *f = parts[i].text; *f; f = family_end(f)) {
			if (is_in_earlier(parts, i, f))
				continue;
			write_family(out, f, true);
			for (size_t j = i + 1; j < n; j++) {
				const char *same = same_family(parts[j].text, f);

				if (same)
					write_family(out, same, false);
			}
		}
	}
}

/* Who reads the file is told by it, and whoever runs us by cron need not be, each minute. */
static bool is_told_by_file(const struct call *call, int r)
{
	return call->textfile && (r == -ENOENT || r == -ECONNREFUSED);
}

static int fail_to_ask(struct call *call, const struct volume_config *vc, int r, const char *error)
{
	if (r == -ENOENT || r == -ECONNREFUSED) {
		errmsg_next(&call->err, "tdefs mount %s", vc->name);
		(void)errmsg_fail(&call->err, r, EXIT_CODE_NOT_MOUNTED, "volume %s: not mounted",
				  vc->name);
	} else {
		errmsg_next(&call->err, r == -EACCES ? "be root or in the group " CONTROL_GROUP
						     : "see the daemon's log");
		(void)errmsg_fail(&call->err, r, EXIT_CODE_FAILED,
				  "volume %s: cannot ask its daemon: %s", vc->name,
				  r < 0 ? errno_text(r) : error);
	}
	text_escape_message(&call->err);
	return errmsg_print(&call->err, PROGRAM);
}

/* One volume's text, of whatever kind (NULL: no memory); the result is an exit code. */
static int ask(struct call *call, const struct volume_config *vc, char **ret_text)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "metrics");
	CLEANUP_JSON json_t *answer = NULL;
	const char *text, *error;
	int r = request ? control_call(call->config->runtime_dir, vc->name, request, &answer)
			: -ENOMEM;

	text = json_string_value(json_object_get(answer, "metrics"));
	if (r == 0 && text && strncmp(text, FAMILY, strlen(FAMILY)) == 0) {
		*ret_text = strdup(text);
		return EXIT_CODE_DONE;
	}
	*ret_text = control_metrics_down(vc->name);
	if (is_told_by_file(call, r))
		return EXIT_CODE_DONE;
	error = json_string_value(json_object_get(answer, "error"));
	return fail_to_ask(call, vc, r, error ? error : "its answer holds no metrics");
}

static int replace_textfile(const char *path, const char *text, size_t len)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *directory =
		slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	CLEANUP_CLOSE int dirfd = -1;

	if (!directory)
		return -ENOMEM;
	dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	umask(0);
	return atomic_file_write(&sysio_kernel, dirfd, slash ? slash + 1 : path, TEXTFILE_MODE,
				 text, len);
}

static int write_textfile(struct call *call, const char *text, size_t len, int code)
{
	int r = replace_textfile(call->textfile, text, len);

	if (r == 0 && call->json)
		return print_json(json_pack("{s:o}", "textfile", text_json(call->textfile)), code);
	if (r == 0)
		return code;
	errmsg_next(&call->err, "make its directory, and see that you may write there");
	(void)errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "cannot write %s: %s", call->textfile,
			  errno_text(r));
	return call_failed(call);
}

static int print_merged(struct call *call, const struct part *parts, size_t n, int code)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return print_json(NULL, EXIT_CODE_FAILED);
	write_merged(out, parts, n);
	if (fclose(out) != 0)
		return print_json(NULL, EXIT_CODE_FAILED);
	if (call->textfile)
		return write_textfile(call, text, len, code);
	if (call->json)
		return print_json(json_pack("{s:s}", "metrics", text), code);
	fputs(text, stdout);
	return code;
}

int verb_metrics(struct call *call)
{
	const char *name = call->nargs ? call->args[0] : NULL;
	struct part *parts = calloc(call->config->nvolumes + 1, sizeof(*parts));
	const struct volume_config *vc;
	int code = EXIT_CODE_DONE;
	size_t n = 0;

	if (name && config_volume(call->config, name, &vc, &call->err) < 0) {
		free(parts);
		return call_failed(call);
	}
	for (size_t i = 0; parts && i < call->config->nvolumes; i++) {
		vc = &call->config->volumes[i];
		if (name && strcmp(vc->name, name) != 0)
			continue;
		code = worse_exit_code(code, ask(call, vc, &parts[n].text));
		n += parts[n].text != NULL;
	}
	code = parts ? print_merged(call, parts, n, code) : print_json(NULL, EXIT_CODE_FAILED);
	free_parts(parts, n);
	return code;
}
