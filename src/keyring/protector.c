/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/protector.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tdefs/crypto.h"
#include "tdefs/policy.h"

#define PROBE_LEN 32

int protector_failed(const struct vault_report *rep, struct errmsg *reterr)
{
	if (reterr)
		*reterr = rep->error;
	return rep->verdict == VAULT_DENIED	   ? -EKEYREVOKED
	       : rep->verdict == VAULT_UNREACHABLE ? -ENOKEY
						   : -EKEYREJECTED;
}

enum exit_code protector_exit_code(const struct vault_report *rep)
{
	return rep->verdict == VAULT_UNREACHABLE && rep->error.exit_code == EXIT_CODE_FAILED
		       ? EXIT_CODE_TRY_AGAIN
		       : rep->error.exit_code;
}

static int may_go_on(const struct wrap_limits *l, unsigned *ret_timeout_ms, struct errmsg *reterr)
{
	uint64_t now_ms;
	int r = l && l->may_go_on ? l->may_go_on(l->arg, reterr) : 0;

	*ret_timeout_ms = VAULT_COMMAND_TIMEOUT_MS;
	if (!l || r < 0)
		return r;
	now_ms = l->clock->boot_ms();
	*ret_timeout_ms = now_ms < l->until_ms ? (unsigned)(l->until_ms - now_ms) : 1;
	return 0;
}

int protector_wrap(struct vault *vault, const char *kid, const struct secret *plain,
		   const struct wrap_limits *limits, struct vault_wrapped *ret_wrapped,
		   struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *back = NULL;
	struct vault_report rep = { 0 };
	unsigned timeout_ms;
	int r = may_go_on(limits, &timeout_ms, reterr);

	if (r < 0)
		return r;
	if (vault->ops->wrap(vault, kid, plain, timeout_ms, ret_wrapped, &rep) != VAULT_GRANTED)
		return protector_failed(&rep, reterr);
	r = may_go_on(limits, &timeout_ms, reterr);
	if (r < 0)
		return r;
	if (vault->ops->unwrap(vault, ret_wrapped, timeout_ms, &back, &rep) != VAULT_GRANTED)
		return protector_failed(&rep, reterr);
	if (secret_len(back) == secret_len(plain) &&
	    constant_time_equal(secret_view(back), secret_view(plain), secret_len(plain)))
		return 0;
	errmsg_next(reterr, "check the key and the vault: nothing was written");
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_FAILED,
			   "protector %s: unwrapping did not give back what was wrapped", kid);
}

bool protector_covers(const char *protector, const char *kid)
{
	struct kid a, b;

	if (strcmp(protector, kid) == 0)
		return true;
	if (kid_parse(protector, &a) < 0 || kid_parse(kid, &b) < 0)
		return false;
	if (!a.version[0])
		memcpy(a.version, b.version, sizeof(a.version));
	return kid_equal(&a, &b);
}

const char *protector_that_opens(const struct settings *settings, const char *kid)
{
	const char *at = settings->linked;
	char linked[KID_MAX + 1];

	if (protector_covers(settings->protector, kid) ||
	    (settings->secondary && protector_covers(settings->secondary, kid)))
		return settings->protector;
	while (at && settings_next_linked(&at, linked))
		if (protector_covers(linked, kid))
			return kid;
	return settings->protector;
}

__attribute__((format(printf, 4, 5))) static struct requirement *add(struct protector_report *r,
								     const char *name, bool met,
								     const char *fmt, ...)
{
	struct requirement *q = &r->requirements[r->count++];
	va_list ap;

	*q = (struct requirement){ .name = name,
				   .state = met ? REQUIREMENT_MET : REQUIREMENT_MISSING,
				   .exit_code = EXIT_CODE_CONFIG,
				   .error = -EKEYREJECTED };
	va_start(ap, fmt);
	(void)vsnprintf(q->text, sizeof(q->text), fmt, ap);
	va_end(ap);
	return q;
}

/* What to do about it, unless it is met. */
static void advise(struct requirement *q, const char *next)
{
	if (q->state != REQUIREMENT_MET)
		(void)snprintf(q->next, sizeof(q->next), "%s", next);
}

/* A policy that is off makes a missing one a note. */
static void by_policy(struct requirement *q, const char *policy, bool required)
{
	q->exit_code = EXIT_CODE_POLICY;
	q->policy = policy;
	if (q->state == REQUIREMENT_MISSING && !required)
		q->state = REQUIREMENT_NOTED;
}

static void add_call(struct protector_report *r, const char *name, const struct vault_report *rep)
{
	struct requirement *q = add(r, name, rep->verdict == VAULT_GRANTED, "%s",
				    rep->verdict == VAULT_GRANTED ? "allowed" : rep->error.text);
	struct errmsg ignored;

	if (q->state == REQUIREMENT_MET)
		return;
	q->exit_code = protector_exit_code(rep);
	q->error = protector_failed(rep, &ignored);
	advise(q, rep->error.next);
}

static void check_kind(struct protector_report *r, const char *kid, const struct policy *policy)
{
	const enum protector_kind kind = protector_kind_of(kid);
	struct requirement *q;

	q = add(r, "customer-managed", kind != PROTECTOR_PLATFORM, "%s, policy %s",
		protector_kind_name(kind), policy_effect_name(policy->customer_managed_key));
	if (policy->customer_managed_key == POLICY_DISABLED)
		q->state = REQUIREMENT_MET;
	advise(q, "keep the key in a key vault: whoever has this host's disk has this key");
	by_policy(q, POLICY_CUSTOMER_MANAGED_KEY, policy->customer_managed_key == POLICY_DENY);
}

static void check_size(struct protector_report *r, const struct vault_key *k,
		       const struct policy *policy)
{
	bool met = k->bits == 2048 || k->bits == 3072 || k->bits == 4096;
	struct requirement *q = add(r, "key-size", met, "RSA of %u bits%s%s", k->bits,
				    met ? "" : " is not allowed", k->hsm ? ", in an HSM" : "");

	advise(q, "use an RSA key of 2048, 3072 or 4096 bits");
	if (met && k->bits < policy->minimum_rsa_bits) {
		q->state = REQUIREMENT_MISSING;
		by_policy(q, POLICY_MINIMUM_RSA_BITS, true);
		(void)snprintf(q->text, sizeof(q->text), "RSA of %u bits; the policy asks for %u",
			       k->bits, policy->minimum_rsa_bits);
		advise(q, "make a longer key: az keyvault key create --size 3072");
	} else if (k->bits == 4096) {
		q->state = REQUIREMENT_NOTED;
		(void)snprintf(q->next, sizeof(q->next),
			       "3072 bits are enough, and what Azure SQL takes");
	}
}

static const char *date(uint64_t seconds, char text[static 32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(text, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)snprintf(text, 32, "in the far future");
	return text;
}

static void check_dates(struct protector_report *r, const struct vault_key *k, uint64_t now)
{
	char text[32];

	if (k->not_before)
		advise(add(r, "activation-date", k->not_before <= now, "%s",
			   date(k->not_before, text)),
		       "wait until then, or set an earlier activation date: az keyvault key "
		       "set-attributes --not-before");
	else
		add(r, "activation-date", true, "none");
	if (k->expires)
		advise(add(r, "expiration-date", k->expires > now, "%s", date(k->expires, text)),
		       "make a new version (az keyvault key create), or set a later date (az "
		       "keyvault key set-attributes --expires): an expired key goes on opening "
		       "volumes, but wraps nothing new");
	else
		add(r, "expiration-date", true, "none");
}

static void check_recovery(struct protector_report *r, const struct vault_key *k,
			   const struct policy *policy)
{
	const char *level = k->recovery_level[0] ? k->recovery_level : "no recovery level";
	struct requirement *q = add(r, "soft-delete", k->soft_delete, "%s", level);

	by_policy(q, POLICY_PURGE_PROTECTION, policy->require_purge_protection);
	advise(q, "use a vault with soft delete: what is deleted by mistake can then be recovered");
	q = add(r, "purge-protection", k->purge_protection, "%s", level);
	by_policy(q, POLICY_PURGE_PROTECTION, policy->require_purge_protection);
	advise(q, "az keyvault update --enable-purge-protection true; without it a key that is "
		  "deleted can be destroyed at once, and the data with it");
}

static void check_remote(struct protector_report *r, const struct vault_key *k,
			 const struct policy *policy, uint64_t now)
{
	advise(add(r, "enabled", k->enabled, "%s", k->enabled ? "yes" : "the key is disabled"),
	       "az keyvault key set-attributes --enabled true");
	check_dates(r, k, now);
	advise(add(r, "key-operations", k->may_wrap && k->may_unwrap, "%s",
		   k->may_wrap && k->may_unwrap ? "wrapKey, unwrapKey"
						: "its key_ops lack wrapKey or unwrapKey"),
	       "az keyvault key set-attributes --ops wrapKey unwrapKey");
	check_recovery(r, k, policy);
}

static void add_unknown(struct protector_report *r, const char *name)
{
	add(r, name, false, "not tried")->state = REQUIREMENT_UNKNOWN;
}

/* The permissions, by using them on a random value. */
static void check_use(struct protector_report *r, struct vault *vault)
{
	CLEANUP_SECRET struct secret *probe = secret_new(PROBE_LEN);
	CLEANUP_SECRET struct secret *back = NULL;
	struct vault_wrapped wrapped;
	struct vault_report rep = { 0 };

	if (!probe || random_bytes(secret_bytes(probe), PROBE_LEN) < 0) {
		advise(add(r, "wrapKey", false, "no random bytes or no memory"), "try again");
		return;
	}
	vault->ops->wrap(vault, r->key.kid, probe, VAULT_COMMAND_TIMEOUT_MS, &wrapped, &rep);
	add_call(r, "wrapKey", &rep);
	if (rep.verdict != VAULT_GRANTED) {
		add_unknown(r, "unwrapKey");
		return;
	}
	vault->ops->unwrap(vault, &wrapped, VAULT_COMMAND_TIMEOUT_MS, &back, &rep);
	add_call(r, "unwrapKey", &rep);
	if (rep.verdict != VAULT_GRANTED)
		return;
	advise(add(r, "round-trip",
		   secret_len(back) == PROBE_LEN &&
			   constant_time_equal(secret_view(back), secret_view(probe), PROBE_LEN),
		   "what was wrapped comes back"),
	       "check the key and the vault: they do not give back what was wrapped");
}

static bool any_missing(const struct protector_report *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->requirements[i].state == REQUIREMENT_MISSING)
			return true;
	return false;
}

void protector_check(struct vault *vault, const char *kid, const struct policy *policy,
		     uint64_t now, struct protector_report *ret_report)
{
	struct protector_report *r = ret_report;
	struct vault_report rep = { 0 };

	*r = (struct protector_report){ 0 };
	vault->ops->get(vault, kid, VAULT_COMMAND_TIMEOUT_MS, &r->key, &rep);
	add_call(r, "get", &rep);
	if (rep.verdict == VAULT_GRANTED) {
		check_kind(r, r->key.kid, policy);
		check_size(r, &r->key, policy);
		if (r->key.remote)
			check_remote(r, &r->key, policy, now);
	}
	if (!any_missing(r)) {
		check_use(r, vault);
		return;
	}
	add_unknown(r, "wrapKey");
	add_unknown(r, "unwrapKey");
}

int protector_verdict(const struct protector_report *r, const char *kid, struct errmsg *reterr)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct requirement *q = &r->requirements[i];

		if (q->state != REQUIREMENT_MISSING)
			continue;
		errmsg_policy(reterr, q->policy);
		errmsg_next(reterr, "%s", q->next);
		return errmsg_fail(reterr, q->error, q->exit_code, "protector %s: %s: %s", kid,
				   q->name, q->text);
	}
	return 0;
}

const char *requirement_state_name(enum requirement_state state)
{
	static const char *const names[] = {
		[REQUIREMENT_MET] = "ok",
		[REQUIREMENT_NOTED] = "note",
		[REQUIREMENT_MISSING] = "missing",
		[REQUIREMENT_UNKNOWN] = "unknown",
	};

	return names[state];
}
