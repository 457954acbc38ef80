/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a config: from file to parsed, inherited, validated struct.
 * What each key means and accepts stands in keys.c.
 */
#include "tdefs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "keys.h"
#include "vaults.h"

#define CONFIG_MAX  ((size_t)1024 * 1024)
#define SECTIONS    "sections are [server], [policy], [vault HOST] and [volume NAME]"
#define NAME_LEN    32
#define SECTION_MAX 200 /* a line has no more */

struct parse {
	struct config *config;
	const char *rest; /* what the reader has not handed out yet */
	int line;
	int error; /* first error, as a negative errno */
	struct errmsg *reterr;
	char section[SECTION_MAX]; /* the last one, whole: inih cuts names off at 49 bytes */
	struct key_set server_set, policy_set;
	struct key_set *volume_sets; /* one for each volume, by index */
	struct key_set *vault_sets;  /* and for each vault */
};

static int fail(struct parse *p, const char *what, const char *next)
{
	if (p->error == 0) {
		errmsg_next(p->reterr, "%s", next);
		p->error = errmsg_fail(p->reterr, -EINVAL, EXIT_CODE_CONFIG, "%s:%d: %s",
				       p->config->path, p->line, what);
	}
	return 0; /* inih: an error, go on; later ones are not reported */
}

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_LEN && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._-") == len;
}

/* The volume of that name, added when it is new; NULL when there is no memory. */
static struct volume_config *volume_section(struct parse *p, const char *name, struct key_set **set)
{
	struct config *c = p->config;
	struct volume_config *volumes;
	struct key_set *sets;
	size_t i;

	for (i = 0; i < c->nvolumes; i++)
		if (strcmp(c->volumes[i].name, name) == 0)
			break;
	if (i == c->nvolumes) {
		volumes = reallocarray(c->volumes, i + 1, sizeof(*volumes));
		if (!volumes)
			return NULL;
		c->volumes = volumes;
		sets = reallocarray(p->volume_sets, i + 1, sizeof(*sets));
		if (!sets)
			return NULL;
		p->volume_sets = sets;
		volumes[i] = (struct volume_config){ .name = strdup(name) };
		sets[i] = (struct key_set){ 0 };
		if (!volumes[i].name)
			return NULL;
		c->nvolumes++;
	}
	*set = &p->volume_sets[i];
	return &c->volumes[i];
}

/* What may stand in a section; 0: there is no such section. */
static enum key_place place_of(const char *section)
{
	if (strncmp(section, "volume ", 7) == 0)
		return KEY_IN_VOLUME;
	if (strncmp(section, "vault ", 6) == 0)
		return KEY_IN_VAULT;
	if (strcmp(section, "server") == 0)
		return KEY_IN_SERVER;
	return strcmp(section, "policy") == 0 ? KEY_IN_POLICY : 0;
}

static bool check_section(struct parse *p, const char *section)
{
	enum key_place place = place_of(section);

	if (place == KEY_IN_SERVER || place == KEY_IN_POLICY)
		return true;
	if (!place)
		fail(p, "unknown section", SECTIONS);
	else if (place == KEY_IN_VAULT && !vault_section_is_valid(section + 6))
		fail(p, "the vault's host is not valid", "write [vault HOST] or [vault HOST:PORT]");
	else if (place == KEY_IN_VAULT)
		return true;
	else if (!name_is_valid(section + 7))
		fail(p, "the volume's name is not valid",
		     "use 1 to 32 letters, digits, '.', '_', '-', not starting with '.' or '-'");
	return p->error == 0;
}

/* Where the settings of the last section go; p->section is valid. */
static int find_target(struct parse *p, enum key_place place, struct key_target *ret_target,
		       struct key_set **ret_set)
{
	struct key_target t = { .config = p->config, .settings = &p->config->server };
	int r = 0;

	*ret_set = place == KEY_IN_POLICY ? &p->policy_set : &p->server_set;
	if (place == KEY_IN_VAULT)
		r = vault_section(p->config, &p->vault_sets, p->section + 6, &t.settings, ret_set);
	if (place == KEY_IN_VOLUME) {
		t.volume = volume_section(p, p->section + 7, ret_set);
		r = t.volume ? 0 : -ENOMEM;
	}
	if (r < 0) {
		fail(p, "out of memory", "free some and try again");
		return r;
	}
	if (t.volume)
		t.settings = &t.volume->settings;
	*ret_target = t;
	return 0;
}

/* inih tells of a section with its first setting only: one without any is noticed here. */
static void see_section(struct parse *p, const char *line)
{
	struct key_target target;
	struct key_set *set;
	const char *end;

	line += strspn(line, " \t\r");
	end = *line == '[' ? strchr(line, ']') : NULL;
	if (!end) /* none, or inih's to refuse */
		return;
	(void)snprintf(p->section, sizeof(p->section), "%.*s", (int)(end - line - 1), line + 1);
	if (check_section(p, p->section))
		IGNORE_RESULT(find_target(p, place_of(p->section), &target, &set), "it is told");
}

/* inih's reader: like fgets(3), from memory, and counts lines. */
static char *read_line(char *buf, int room, void *stream)
{
	struct parse *p = stream;
	size_t len = strcspn(p->rest, "\n");

	if (*p->rest == '\0' || p->error < 0)
		return NULL;
	p->line++;
	if (len + 2 > (size_t)room) {
		fail(p, "the line is too long", "keep lines below 198 bytes");
		return NULL;
	}
	memcpy(buf, p->rest, len);
	buf[len] = '\n';
	buf[len + 1] = '\0';
	p->rest += len + (p->rest[len] == '\n');
	see_section(p, buf);
	return buf;
}

static int take_value(struct parse *p, const struct config_key *key, struct key_target target,
		      struct key_set *set, const char *value)
{
	char what[320], next[320];

	if (key_set_has(set, key) && !key->kind->adds) {
		(void)snprintf(what, sizeof(what), "%s is set twice in this section", key->name);
		return fail(p, what, "keep one of them");
	}
	if (key_assign(key, target, value) < 0) {
		(void)snprintf(what, sizeof(what), "%s = %s: not valid", key->name, value);
		(void)snprintf(next, sizeof(next), "give %s", key->expected);
		return fail(p, what, next);
	}
	key_set_add(set, key);
	return 1;
}

static int unknown_key(struct parse *p, const char *section, const char *name)
{
	char what[256], next[960];

	(void)snprintf(what, sizeof(what), "%s: unknown key in [%s]", name, section);
	(void)snprintf(next, sizeof(next), "keys of this section are: ");
	keys_list(place_of(section), next + strlen(next), sizeof(next) - strlen(next));
	return fail(p, what, next);
}

static int handle_pair(void *user, const char *section, const char *name, const char *value)
{
	struct parse *p = user;
	const struct config_key *key;
	struct key_target target;
	struct key_set *set;
	enum key_place place;

	if (p->error < 0)
		return 0;
	if (!section[0])
		return fail(p, "a setting before any section", SECTIONS);
	place = place_of(p->section);
	key = key_find(name, place);
	if (!key)
		return unknown_key(p, p->section, name);
	if (find_target(p, place, &target, &set) < 0)
		return 0;
	return take_value(p, key, target, set, value);
}

/* What rotates by itself only starts from a given version: from then on any of that key is meant. */
static int settle_protector(struct settings *s)
{
	struct kid kid;

	if (!s->auto_rotate || !s->protector || kid_parse(s->protector, &kid) < 0 ||
	    !kid.version[0])
		return 0;
	s->start = strdup(s->protector);
	if (!s->start)
		return -ENOMEM;
	*strrchr(s->protector, '/') = '\0';
	return 0;
}

static int inherit_all(struct parse *p)
{
	struct config *c = p->config;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->nvolumes; i++) {
		r = keys_inherit(&c->volumes[i], &p->volume_sets[i], c);
		if (r == 0)
			r = vaults_give(c, p->vault_sets, &c->volumes[i].settings);
		if (r == 0)
			r = settle_protector(&c->volumes[i].settings);
	}
	if (r == 0)
		r = vaults_give(c, p->vault_sets, &c->server);
	if (r == 0)
		r = settle_protector(&c->server);
	return r == 0 ? 0
		      : errmsg_fail(p->reterr, r, EXIT_CODE_FAILED, "%s: %s", c->path,
				    errno_text(r));
}

static int finish(struct parse *p)
{
	struct config *c = p->config;
	int r = inherit_all(p);

	for (size_t i = 0; r == 0 && i < c->nvolumes; i++)
		r = check_volume(c, i, p->reterr);
	if (r == 0)
		r = check_vaults_used(c, p->reterr);
	return r < 0 ? r : check_own_paths(c, p->reterr);
}

static struct config *config_new(const char *path)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->path = strdup(path);
	if (!c->path || keys_default(c) < 0) {
		config_free(c);
		return NULL;
	}
	return c;
}

int config_parse(const char *path, const char *text, struct config **ret_config,
		 struct errmsg *reterr)
{
	CLEANUP_CONFIG struct config *c = config_new(path);
	struct parse p = { .config = c, .rest = text, .reterr = reterr };
	int line, r;

	if (!c)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "%s: out of memory", path);
	line = ini_parse_stream(read_line, &p, handle_pair, &p);
	/* inih's own first error counts unless ours came before; p.line is where ours was. */
	if (line > 0 && (p.error == 0 || line < p.line)) {
		p.error = 0;
		p.line = line;
		fail(&p, "neither a section, a setting nor a comment", "write \"key = value\"");
	}
	r = p.error < 0 ? p.error : finish(&p);
	free(p.volume_sets);
	free(p.vault_sets);
	if (r < 0)
		return r;
	*ret_config = TAKE_PTR(c);
	return 0;
}

static int read_file(const char *path, char **ret_text, struct errmsg *reterr)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *text = malloc(CONFIG_MAX + 1);
	ssize_t len;

	errmsg_next(reterr, "write it (root and the group tdefs can read it), name another with "
			    "--config, or set " CONFIG_ENVIRONMENT);
	if (fd < 0)
		return errmsg_fail(reterr, -errno, EXIT_CODE_CONFIG, "%s: cannot open: %s", path,
				   errno_text(errno));
	if (!text)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "%s: out of memory", path);
	len = read(fd, text, CONFIG_MAX + 1);
	if (len < 0)
		return errmsg_fail(reterr, -errno, EXIT_CODE_CONFIG, "%s: cannot read: %s", path,
				   errno_text(errno));
	if (len > (ssize_t)CONFIG_MAX)
		return errmsg_fail(reterr, -EFBIG, EXIT_CODE_CONFIG, "%s: longer than 1 MiB", path);
	text[len] = '\0';
	if (strlen(text) != (size_t)len)
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "%s: not a text file", path);
	*ret_text = TAKE_PTR(text);
	return 0;
}

int config_load(const char *path, struct config **ret_config, struct errmsg *reterr)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *whole = NULL;
	int r;

	if (!path)
		path = getenv(CONFIG_ENVIRONMENT);
	if (!path || !*path)
		path = CONFIG_DEFAULT_PATH;
	if (path[0] != '/') /* a daemon that reads it again is elsewhere by then */
		whole = realpath(path, NULL);
	if (whole)
		path = whole;
	r = read_file(path, &text, reterr);
	return r < 0 ? r : config_parse(path, text, ret_config, reterr);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nvolumes; i++) {
		free(c->volumes[i].name);
		free(c->volumes[i].backing);
		free(c->volumes[i].mount);
		keys_release(&c->volumes[i].settings);
	}
	for (size_t i = 0; i < c->nvaults; i++) {
		free(c->vaults[i].host);
		keys_release(&c->vaults[i].settings);
	}
	keys_release(&c->server);
	free(c->vaults);
	free(c->volumes);
	free(c->state_dir);
	free(c->runtime_dir);
	free(c->event_dir);
	free(c->path);
	free(c);
}

int config_volume(const struct config *c, const char *name, const struct volume_config **ret_volume,
		  struct errmsg *reterr)
{
	char names[256] = "";

	for (size_t i = 0; i < c->nvolumes; i++) {
		const char *other = c->volumes[i].name;

		if (strcmp(other, name) == 0) {
			*ret_volume = &c->volumes[i];
			return 0;
		}
		if (strlen(names) + strlen(other) + 2 < sizeof(names))
			(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
				       names[0] ? " " : "", other);
	}
	errmsg_next(reterr, names[0] ? "name one of: %s" : "add a section [volume NAME]%s", names);
	return errmsg_fail(reterr, -ENOENT, EXIT_CODE_CONFIG, "%s: no volume %s", c->path, name);
}
