/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy says of a protector, for the event log. */
#include "event_details.h"
#include "tdefs/audit.h"
#include "tdefs/volume_event.h"

static json_t *details_of(enum policy_act act, const char *kid, const char *policy)
{
	json_t *details = json_object();

	details_put(details, "policy", policy);
	details_put(details, "act", policy_act_name(act));
	details_put(details, "kid", kid);
	details_put(details, "kind", protector_kind_name(protector_kind_of(kid)));
	return details;
}

void volume_event_policy_refused(struct audit *audit, enum policy_act act, const char *kid,
				 const struct errmsg *err)
{
	json_t *details;

	if (!err || !err->policy)
		return;
	details = details_of(act, kid, err->policy);
	details_put(details, "error", err->text);
	audit_record(audit, AUDIT_MAJOR, "policy_refused", details);
}

void volume_event_policy_noted(struct audit *audit, const struct policy *policy,
			       enum policy_act act, const char *kid)
{
	if (policy_answer(policy, act, protector_kind_of(kid)) == POLICY_NOTED)
		audit_record(audit, AUDIT_MAJOR, "policy_noted",
			     details_of(act, kid, POLICY_CUSTOMER_MANAGED_KEY));
}

int volume_policy_check(struct audit *audit, const struct policy *policy, enum policy_act act,
			const char *kid, const char *what, struct errmsg *reterr)
{
	int r = policy_check(policy, act, kid, what, reterr);

	if (r < 0)
		volume_event_policy_refused(audit, act, kid, reterr);
	else
		volume_event_policy_noted(audit, policy, act, kid);
	return r;
}
