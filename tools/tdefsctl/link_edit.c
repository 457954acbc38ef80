/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. How lines are changed is conf_edit.c's, how the file is conf_file.c's. */
#include "link_edit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf_edit.h"
#include "conf_file.h"
#include "key_name.h"

static int out_of_memory(struct call *call)
{
	return errmsg_fail(&call->err, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
}

bool settings_link(const struct settings *s, const char *kid)
{
	const char *at = s->linked;
	char one[KID_MAX + 1];

	while (at && settings_next_linked(&at, one))
		if (conf_is_same_kid(one, kid))
			return true;
	return false;
}

static size_t count_linked(const struct settings *s)
{
	const char *at = s->linked;
	char one[KID_MAX + 1];
	size_t n = 0;

	while (at && settings_next_linked(&at, one))
		n++;
	return n;
}

/* Each kid of `a`, but for the one that is about, is in `b`. */
static bool keeps_others(const struct settings *a, const struct settings *b, const char *kid)
{
	const char *at = a->linked;
	char one[KID_MAX + 1];

	while (at && settings_next_linked(&at, one))
		if (!conf_is_same_kid(one, kid) && !settings_link(b, one))
			return false;
	return true;
}

static int change(struct link_edit *e, const char *section, const char *kid,
		  int (*edit)(const char *, const char *, const char *, char **))
{
	char *text;
	int r = edit(e->now, section, kid, &text);

	if (r < 0)
		return out_of_memory(e->call);
	free(e->now);
	e->now = text;
	return 0;
}

/* What a volume inherits counts no longer once it has a list of its own: that begins with it. */
static int inherit(struct link_edit *e, const char *section, const struct settings *s)
{
	const char *at = s->linked;
	char kid[KID_MAX + 1];
	int r = 0;

	if (conf_has_linked(e->now, section))
		return 0;
	while (r == 0 && at && settings_next_linked(&at, kid))
		r = change(e, section, kid, conf_link);
	return r;
}

static int edit_volume(struct link_edit *e, const struct volume_config *vc)
{
	char section[64];
	int r;

	(void)snprintf(section, sizeof(section), "volume %s", vc->name);
	if (e->unlink)
		return change(e, section, e->kid, conf_unlink);
	if (settings_link(&vc->settings, e->kid))
		return 0;
	r = inherit(e, section, &vc->settings);
	return r < 0 ? r : change(e, section, e->kid, conf_link);
}

static bool has_own_list(const struct link_edit *e, const struct volume_config *vc)
{
	char section[64];

	(void)snprintf(section, sizeof(section), "volume %s", vc->name);
	return conf_has_linked(e->now, section);
}

static int edit_all(struct link_edit *e)
{
	const struct config *c = e->before;
	int r = 0;

	if (e->unlink)
		r = change(e, "server", e->kid, conf_unlink);
	else if (!settings_link(&c->server, e->kid))
		r = change(e, "server", e->kid, conf_link);
	for (size_t i = 0; r == 0 && i < c->nvolumes; i++)
		if (has_own_list(e, &c->volumes[i]))
			r = edit_volume(e, &c->volumes[i]);
	return r;
}

static bool is_meant(const struct link_edit *e, const struct volume_config *vc)
{
	return !e->name || strcmp(e->name, vc->name) == 0;
}

/* The text that is to be the file's says what was meant of this volume, and nothing else. */
static bool is_right(const struct link_edit *e, size_t i)
{
	const struct volume_config *was = &e->before->volumes[i], *now = &e->after->volumes[i];
	const bool had = settings_link(&was->settings, e->kid);
	struct config_changes changes;

	config_compare(e->before, was, e->after, now, &changes);
	if (changes.fixed[0] || (changes.live[0] && strcmp(changes.live, "linked") != 0))
		return false;
	if (!is_meant(e, was))
		return !changes.live[0];
	return settings_link(&now->settings, e->kid) == !e->unlink &&
	       keeps_others(&was->settings, &now->settings, e->kid) &&
	       count_linked(&now->settings) == count_linked(&was->settings) +
						       (e->unlink ? 0 : !had) -
						       (e->unlink ? had : 0);
}

static int check_outcome(struct link_edit *e)
{
	const char *path = e->call->config->path;
	int r = config_parse(path, e->now, &e->after, &e->call->err);
	bool right = r == 0 && e->after->nvolumes == e->before->nvolumes;

	for (size_t i = 0; right && i < e->before->nvolumes; i++)
		right = is_right(e, i);
	if (r < 0 || right)
		return r;
	errmsg_next(&e->call->err,
		    e->unlink ? "if [server] links it, use --all; else edit the file"
			      : "edit the file: add %s to \"linked\"",
		    e->kid);
	return errmsg_fail(&e->call->err, -EINVAL, EXIT_CODE_CONFIG,
			   "%s: this would change more than whether %s is linked: it is left as "
			   "it is",
			   path, e->kid);
}

/* What `secondary` names is never opened by a linked key. */
static int check_secondary(struct link_edit *e)
{
	for (size_t i = 0; !e->unlink && i < e->before->nvolumes; i++) {
		const struct volume_config *vc = &e->before->volumes[i];

		if (!is_meant(e, vc) || !vc->settings.secondary ||
		    !protector_covers(vc->settings.secondary, e->kid))
			continue;
		errmsg_next(&e->call->err, "link the key in the protector's vault");
		return errmsg_fail(&e->call->err, -EINVAL, EXIT_CODE_CONFIG,
				   "volume %s: %s is its secondary's, which no link makes open a "
				   "header",
				   vc->name, e->kid);
	}
	return 0;
}

static int check_name(struct link_edit *e)
{
	const struct volume_config *vc;
	struct key_name key;

	if (key_name_parse(e->kid, &key) < 0 || !key.kid) {
		errmsg_next(&e->call->err, "give https://VAULT/keys/NAME[/VERSION] or file:/PATH");
		return errmsg_fail(&e->call->err, -EINVAL, EXIT_CODE_CONFIG,
				   "%s is no key identifier", e->kid);
	}
	return e->name ? config_volume(e->call->config, e->name, &vc, &e->call->err) : 0;
}

int link_edit_make(struct link_edit *e)
{
	struct call *call = e->call;
	const struct volume_config *vc;
	int r = check_name(e);

	if (r == 0)
		r = conf_read(call, &e->was);
	if (r == 0)
		r = config_parse(call->config->path, e->was, &e->before, &call->err);
	if (r == 0)
		r = check_secondary(e);
	if (r < 0)
		return r;
	e->now = strdup(e->was);
	if (!e->now)
		return out_of_memory(call);
	if (!e->name)
		r = edit_all(e);
	else {
		r = config_volume(e->before, e->name, &vc, &call->err);
		if (r == 0)
			r = edit_volume(e, vc);
	}
	return r < 0 ? r : check_outcome(e);
}

void link_edit_release(struct link_edit *e)
{
	free(e->was);
	free(e->now);
	config_free(e->before);
	config_free(e->after);
}
