/* SPDX-License-Identifier: Apache-2.0 */
/* What rotations of mounted and of other volumes share: the target, the outcome, the event. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "event_details.h"
#include "tdefs/audit.h"
#include "tdefs/protector.h"
#include "tdefs/volume_event.h"
#include "volume_rotate.h"

static bool are_in_one_vault(const char *a, const char *b)
{
	char one[KID_VAULT_MAX], other[KID_VAULT_MAX];

	return a && b && vault_host_of(a, one) == 0 && vault_host_of(b, other) == 0 &&
	       strcmp(one, other) == 0;
}

static int check_not_secondary(const char *kid, const struct settings *s, const char *serving,
			       const char *volume, struct errmsg *reterr)
{
	if (!are_in_one_vault(kid, s->secondary) && !are_in_one_vault(kid, serving))
		return 0;
	errmsg_next(reterr, "name a key in another vault; one that fails must not take both");
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
			   "volume %s: %s is refused: its vault is the secondary's", volume, kid);
}

/* A header whose key is not the configured protector would not be mounted again. */
static int check_named(const char *kid, const struct settings *s, const char *volume,
		       struct errmsg *reterr)
{
	if (protector_covers(s->protector, kid))
		return 0;
	errmsg_next(reterr,
		    "set \"protector = %s\" in tdefs.conf (and \"linked\" to the key of now, until "
		    "it is done), then rotate",
		    kid);
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
			   "volume %s: %s is not its configured protector, which is %s", volume,
			   kid, s->protector);
}

static int check_backup(const struct rotation_request *request, const char *kid,
			const struct policy *policy, const char *volume, struct errmsg *reterr)
{
	if (!policy->require_key_backup || request->key_is_backed_up)
		return 0;
	errmsg_policy(reterr, POLICY_KEY_BACKUP);
	errmsg_next(reterr,
		    "back it up (%s), keep that apart from the data, and give "
		    "--key-is-backed-up",
		    protector_backup_way(kid));
	return errmsg_fail(reterr, -EPERM, EXIT_CODE_POLICY,
			   "volume %s: the policy requires a backup of %s", volume, kid);
}

int rotation_target(const struct rotation_request *request, const struct settings *settings,
		    const struct policy *policy, const char *serving, const char *volume,
		    char ret_kid[static KID_MAX + 1], struct errmsg *reterr)
{
	const char *kid = request->to[0] ? request->to : settings->protector;
	int r;

	(void)snprintf(ret_kid, KID_MAX + 1, "%s", kid);
	r = vault_check_allowed(kid, settings, reterr);
	if (r == 0)
		r = policy_check(policy, request->act, kid, volume, reterr);
	if (r == 0)
		r = check_not_secondary(kid, settings, serving, volume, reterr);
	if (r == 0)
		r = check_named(kid, settings, volume, reterr);
	if (r == 0)
		r = check_backup(request, kid, policy, volume, reterr);
	return r;
}

enum rotation_choice rotation_choice_of(const struct rotation_request *request)
{
	if (request->unpin)
		return ROTATION_UNPIN;
	return request->to[0] && !request->by_itself ? ROTATION_CHOSEN : ROTATION_NEWEST;
}

static struct rotation_key key_of(const struct volume_header *h)
{
	const struct key_slot *slot = volume_header_active_slot(h);
	struct rotation_key k;

	(void)snprintf(k.kid, sizeof(k.kid), "%s", slot->kid);
	memcpy(k.thumbprint, slot->thumbprint, sizeof(k.thumbprint));
	return k;
}

void rotation_outcome_of(const struct volume_header *before, const struct rotation_result *result,
			 int error, struct rotation_outcome *outcome)
{
	outcome->error = error;
	outcome->rotated = result->rotated;
	outcome->retired = result->retired;
	outcome->pinned = volume_header_is_pinned(&result->header);
	outcome->before = key_of(before);
	outcome->after = key_of(&result->header);
}

static void put_key(json_t *details, const char *key, const struct rotation_key *k)
{
	json_t *o = json_object();

	details_put(o, "kid", k->kid);
	details_put_hex(o, "thumbprint", k->thumbprint, sizeof(k->thumbprint));
	details_put_json(details, key, o);
}

void volume_event_rotation(struct audit *audit, const struct rotation_request *request,
			   const struct rotation_outcome *outcome)
{
	json_t *details = json_object();

	if (outcome->before.kid[0]) {
		put_key(details, "before", &outcome->before);
		put_key(details, "after", &outcome->after);
	}
	details_put_json(details, "rotated", json_boolean(outcome->rotated));
	details_put_json(details, "retired", json_boolean(outcome->retired));
	details_put_json(details, "pinned", json_boolean(outcome->pinned));
	details_put(details, "by", request->by_itself ? "auto_rotate" : "operator");
	if (request->from_previous)
		details_put_json(details, "from_previous", json_true());
	details_put(details, "to", request->to);
	if (outcome->error < 0) {
		details_put(details, "error", outcome->message.text);
		details_put_number(details, "exit_code", outcome->message.exit_code);
	}
	audit_record(audit, AUDIT_MAJOR, outcome->error < 0 ? "rotation_failed" : "rotated",
		     details);
	if (outcome->error < 0)
		volume_event_policy_refused(audit, request->act, outcome->to, &outcome->message);
	if (outcome->rotated)
		volume_event_policy_noted(audit, &outcome->policy, request->act,
					  outcome->after.kid);
}
