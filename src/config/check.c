/* SPDX-License-Identifier: Apache-2.0 */
/* What settings must be together, once all of them are read. */
#include "check.h"
#include "vaults.h"

#include <errno.h>
#include <string.h>

/* Azure's own bound on how long a database stays up after its key is gone. */
#define DOWN_MOST_MS ((uint64_t)600000)

static int missing(const struct config *c, const struct volume_config *v, const char *key,
		   struct errmsg *reterr)
{
	errmsg_next(reterr, "add \"%s = ...\" to [volume %s]%s", key, v->name,
		    strcmp(key, "protector") == 0 ? " or to [server]" : "");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "%s: volume %s has no %s", c->path,
			   v->name, key);
}

/*
 * From a denial in the vault to a volume that is down, at the latest. Each
 * probe, those that confirm included, takes its time, and that of two vaults
 * while the first does not answer.
 */
static uint64_t down_after_ms(const struct settings *s)
{
	const struct guard_policy *g = &s->guard;
	uint64_t probe_ms = g->probe_timeout_ms * (s->secondary ? 2 : 1);

	return g->probe_interval_ms * 11 / 10 + probe_ms +
	       g->denied_confirmations * (g->denied_confirm_interval_ms + probe_ms) +
	       g->drain_timeout_ms;
}

static int check_guard(const struct config *c, const struct volume_config *v, struct errmsg *reterr)
{
	const struct guard_policy *g = &v->settings.guard;

	if (down_after_ms(&v->settings) > DOWN_MOST_MS) {
		errmsg_next(reterr, "lower \"probe_interval\", \"probe_timeout\", "
				    "\"denied_confirmations\", \"denied_confirm_interval\" or "
				    "\"drain_timeout\"");
		return errmsg_fail(
			reterr, -EINVAL, EXIT_CODE_CONFIG,
			"%s: volume %s would be down %llu s after its key is denied; the "
			"most is %llu s",
			c->path, v->name, (unsigned long long)down_after_ms(&v->settings) / 1000,
			(unsigned long long)DOWN_MOST_MS / 1000);
	}
	if (g->outage_deny_after_ms >= g->outage_read_only_after_ms)
		return 0;
	errmsg_next(reterr, "let \"outage_deny_after\" be the longer one");
	return errmsg_fail(
		reterr, -EINVAL, EXIT_CODE_CONFIG,
		"%s: volume %s: outage_deny_after is shorter than outage_read_only_after", c->path,
		v->name);
}

/* What is never looked for is never taken. */
static int check_auto_rotate(const struct config *c, const struct volume_config *v,
			     struct errmsg *reterr)
{
	if (!v->settings.auto_rotate || v->settings.rotation_poll_ms)
		return 0;
	errmsg_next(reterr, "set \"rotation_poll\" to 1m to 1d, or \"auto_rotate\" to no");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
			   "%s: volume %s: auto_rotate needs rotation_poll, which is 0", c->path,
			   v->name);
}

/* Each volume is a daemon of its own: one place serves one of them. */
static int check_metrics(const struct config *c, size_t i, struct errmsg *reterr)
{
	const struct volume_config *v = &c->volumes[i];
	const char *listen = v->settings.metrics_listen;

	for (size_t j = 0; listen && listen[0] && j < i; j++) {
		const char *other = c->volumes[j].settings.metrics_listen;

		if (!other || strcmp(listen, other) != 0)
			continue;
		errmsg_next(reterr, "give each [volume NAME] a \"metrics_listen\" of its own, or "
				    "\"none\"; what [server] sets is inherited by all");
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "%s: volumes %s and %s have the same metrics_listen %s", c->path,
				   c->volumes[j].name, v->name, listen);
	}
	return 0;
}

int check_volume(const struct config *c, size_t i, struct errmsg *reterr)
{
	const struct volume_config *v = &c->volumes[i];
	int r;

	if (!v->backing)
		return missing(c, v, "backing", reterr);
	if (!v->mount)
		return missing(c, v, "mount", reterr);
	if (!v->settings.protector)
		return missing(c, v, "protector", reterr);
	r = check_guard(c, v, reterr);
	if (r == 0)
		r = check_auto_rotate(c, v, reterr);
	if (r == 0)
		r = check_vaults_of(c, v, reterr);
	if (r == 0)
		r = check_metrics(c, i, reterr);
	if (r < 0)
		return r;
	for (size_t j = 0; j < i; j++) {
		const struct volume_config *w = &c->volumes[j];
		bool same_mount = strcmp(v->mount, w->mount) == 0;

		if (!same_mount && strcmp(v->backing, w->backing) != 0)
			continue;
		errmsg_next(reterr, "give each volume a directory of its own");
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "%s: volumes %s and %s have the same %s %s", c->path, w->name,
				   v->name, same_mount ? "mount" : "backing",
				   same_mount ? v->mount : v->backing);
	}
	return 0;
}

bool path_is_beneath(const char *inner, const char *outer)
{
	size_t len = strlen(outer);

	if (strcmp(outer, "/") == 0)
		return inner[0] == '/';
	return strncmp(inner, outer, len) == 0 && (inner[len] == '/' || inner[len] == '\0');
}

/* Our own files are not data: in a mount they would need what they serve, in a backing they harm. */
static int check_own_path(const struct config *c, const char *key, const char *path,
			  struct errmsg *reterr)
{
	for (size_t i = 0; i < c->nvolumes; i++) {
		const struct volume_config *v = &c->volumes[i];
		bool in_backing = path_is_beneath(path, v->backing);

		if (!in_backing && !path_is_beneath(path, v->mount))
			continue;
		errmsg_next(reterr, "set \"%s\" to a place outside of all volumes", key);
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "%s: %s = %s lies in the %s of volume %s", c->path, key, path,
				   in_backing ? "backing" : "mount", v->name);
	}
	return 0;
}

static int check_settings_paths(const struct config *c, const struct settings *s,
				struct errmsg *reterr)
{
	const struct {
		const char *key, *path;
	} paths[] = { { "log", s->log },
		      { "metrics_listen", s->metrics_listen },
		      { "on_event", s->on_event },
		      { "webhook_file", s->webhook_file },
		      { "webhook_ca_file", s->webhook_ca_file } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(paths); i++)
		if (paths[i].path)
			r = check_own_path(c, paths[i].key, paths[i].path, reterr);
	return r;
}

int check_own_paths(const struct config *c, struct errmsg *reterr)
{
	int r = check_own_path(c, "state_dir", c->state_dir, reterr);

	if (r == 0)
		r = check_own_path(c, "runtime_dir", c->runtime_dir, reterr);
	if (r == 0)
		r = check_own_path(c, "event_dir", c->event_dir, reterr);
	for (size_t i = 0; r == 0 && i < c->nvolumes; i++)
		r = check_settings_paths(c, &c->volumes[i].settings, reterr);
	return r;
}
