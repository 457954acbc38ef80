/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl link, unlink: what is asked before tdefs.conf is written, and what is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf_file.h"
#include "key_usable.h"
#include "link_edit.h"
#include "survey.h"
#include "tdefs/protector.h"

struct linking {
	struct call *call;
	struct link_edit edit;
	struct survey survey;
};

static bool may_open(const struct settings *s, const char *kid)
{
	return protector_covers(protector_that_opens(s, kid), kid);
}

/* A slot of this key, an active one first; NULL: none was found. */
static const struct key_slot *find_slot(const struct linking *l, const char **ret_path)
{
	for (int state = SLOT_ACTIVE; state <= SLOT_PREVIOUS; state++)
		for (size_t i = 0; i < l->survey.count; i++)
			for (size_t j = 0; j < l->survey.headers[i].nslots; j++) {
				const struct key_slot *s = &l->survey.headers[i].slots[j];

				*ret_path = l->survey.headers[i].path;
				if ((int)s->state == state && protector_covers(l->edit.kid, s->kid))
					return s;
			}
	*ret_path = NULL;
	return NULL;
}

static const struct volume_config *volume_after(const struct link_edit *e)
{
	for (size_t i = 0; i < e->after->nvolumes; i++)
		if (!e->name || strcmp(e->after->volumes[i].name, e->name) == 0)
			return &e->after->volumes[i];
	return NULL;
}

static int check_key(struct linking *l)
{
	const struct volume_config *vc = volume_after(&l->edit);
	const char *path;
	const struct key_slot *slot = find_slot(l, &path);
	const struct vault_watch watch =
		call_watch(l->call, "link", path ? path : l->edit.kid, vc ? vc->name : NULL);

	return key_usable(l->call, &watch, vc ? &vc->settings : &l->edit.after->server,
			  slot ? slot->kid : l->edit.kid, slot);
}

/* A volume that would not open any more is not made so in passing. */
static int check_needed(struct linking *l)
{
	for (size_t i = 0; i < l->survey.count; i++) {
		const struct survey_header *h = &l->survey.headers[i];
		const char *kid = h->nslots ? h->slots[0].kid : NULL;

		for (size_t j = 0; kid && h->volume && j < l->edit.after->nvolumes; j++) {
			if (strcmp(l->edit.after->volumes[j].name, h->volume->name) != 0 ||
			    !may_open(&l->edit.before->volumes[j].settings, kid) ||
			    may_open(&l->edit.after->volumes[j].settings, kid))
				continue;
			errmsg_next(&l->call->err, "tdefsctl rotate %s first", h->volume->name);
			return errmsg_fail(&l->call->err, -EBUSY, EXIT_CODE_FAILED,
					   "volume %s: its header opens with %s only: it stays "
					   "linked",
					   h->volume->name, kid);
		}
	}
	return 0;
}

static json_t *opens_json(const struct linking *l)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < l->survey.count; i++) {
		const struct survey_header *h = &l->survey.headers[i];

		if (!h->nslots || !protector_covers(l->edit.kid, h->slots[0].kid))
			continue;
		if (json_array_append_new(
			    list,
			    json_pack("{s:o, s:o, s:o, s:I}", "path", text_json(h->path), "volume",
				      h->volume ? json_string(h->volume->name) : json_null(), "kid",
				      text_json(h->slots[0].kid), "since",
				      (json_int_t)h->slots[0].created)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static void print_opens(const struct linking *l, const json_t *opens)
{
	const json_t *h;
	size_t i;

	json_array_foreach(opens, i, h)
	{
		const uint64_t since = (uint64_t)json_integer_value(json_object_get(h, "since"));
		char when[32];

		printf("  opens %s, in use since %s\n",
		       json_string_value(json_object_get(h, "path")), time_text(since, when));
	}
	if (json_array_size(opens) == 0)
		puts("  no header that was found is wrapped by it");
	survey_print_searched(&l->survey);
}

static int report(const struct linking *l, bool changed)
{
	CLEANUP_JSON json_t *opens = opens_json(l);
	CLEANUP_FREE char *kid = text_new(l->edit.kid);
	const bool dry = changed && l->call->dry_run;
	const char *what = l->edit.unlink ? "no longer linked" : "linked";

	if (!opens || !kid)
		return print_json(NULL, EXIT_CODE_FAILED);
	if (l->call->json)
		return print_json(json_pack("{s:s, s:b, s:b, s:b, s:O, s:o, s:o}", "key", kid,
					    "linked", (int)!l->edit.unlink, "changed", (int)changed,
					    "dry_run", (int)l->call->dry_run, "opens", opens,
					    "not_searched", survey_missed_json(&l->survey),
					    "searched", survey_searched_json(&l->survey)),
				  EXIT_CODE_DONE);
	printf("%s: %s%s%s\n", kid, dry ? "would be " : "", what,
	       changed ? "" : " (nothing to change)");
	print_opens(l, opens);
	return EXIT_CODE_DONE;
}

static int carry_out(struct linking *l)
{
	bool changed;
	int r = link_edit_make(&l->edit);

	if (r == 0)
		r = survey_take(l->call, &l->survey);
	if (r == 0)
		r = l->edit.unlink ? check_needed(l) : check_key(l);
	if (r < 0)
		return call_failed(l->call);
	changed = strcmp(l->edit.was, l->edit.now) != 0;
	if (changed && !l->call->dry_run && conf_replace(l->call, l->edit.was, l->edit.now) < 0)
		return call_failed(l->call);
	return report(l, changed);
}

static int run(struct call *call, bool unlink)
{
	struct linking l = { .call = call, .edit = { .call = call, .unlink = unlink } };
	int code;

	if (call->nargs != (call->all ? 1 : 2))
		return usage_error(call, "give NAME KID, or --all KID");
	l.edit.name = call->all ? NULL : call->args[0];
	l.edit.kid = call->args[call->nargs - 1];
	code = carry_out(&l);
	survey_release(&l.survey);
	link_edit_release(&l.edit);
	return code;
}

int verb_link(struct call *call)
{
	return run(call, false);
}

int verb_unlink(struct call *call)
{
	return run(call, true);
}
