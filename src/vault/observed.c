/* SPDX-License-Identifier: Apache-2.0 */
/* A vault that tells of each call to another. What is made of it is the observer's. */
#include "tdefs/vault.h"

#include <errno.h>
#include <stdlib.h>

struct observed {
	struct vault vault;
	struct vault_ops ops; /* versions are the other's to have or not */
	struct vault *inner;
	vault_observer observer;
	void *arg;
};

static struct observed *observed_of(struct vault *v)
{
	return (struct observed *)v;
}

/* By the key that answered; by the one that was asked for, where none did. */
static void tell(const struct observed *o, const char *operation, uint64_t began_ms,
		 const char *kid, const struct vault_report *report)
{
	const struct vault_call call = { .operation = operation,
					 .kid = kid,
					 .elapsed_ms = clock_kernel.boot_ms() - began_ms,
					 .report = report };

	o->observer(o->arg, &call);
}

static enum vault_verdict observed_get(struct vault *v, const char *kid, unsigned timeout_ms,
				       struct vault_key *ret_key, struct vault_report *ret_report)
{
	const struct observed *o = observed_of(v);
	const uint64_t began_ms = clock_kernel.boot_ms();
	enum vault_verdict verdict =
		o->inner->ops->get(o->inner, kid, timeout_ms, ret_key, ret_report);

	tell(o, "get", began_ms, verdict == VAULT_GRANTED ? ret_key->kid : kid, ret_report);
	return verdict;
}

static enum vault_verdict observed_wrap(struct vault *v, const char *kid,
					const struct secret *plain, unsigned timeout_ms,
					struct vault_wrapped *ret_wrapped,
					struct vault_report *ret_report)
{
	const struct observed *o = observed_of(v);
	const uint64_t began_ms = clock_kernel.boot_ms();
	enum vault_verdict verdict =
		o->inner->ops->wrap(o->inner, kid, plain, timeout_ms, ret_wrapped, ret_report);

	tell(o, "wrapKey", began_ms, verdict == VAULT_GRANTED ? ret_wrapped->kid : kid, ret_report);
	return verdict;
}

static enum vault_verdict observed_unwrap(struct vault *v, const struct vault_wrapped *wrapped,
					  unsigned timeout_ms, struct secret **ret_plain,
					  struct vault_report *ret_report)
{
	const struct observed *o = observed_of(v);
	const uint64_t began_ms = clock_kernel.boot_ms();
	enum vault_verdict verdict =
		o->inner->ops->unwrap(o->inner, wrapped, timeout_ms, ret_plain, ret_report);

	tell(o, "unwrapKey", began_ms, wrapped->kid, ret_report);
	return verdict;
}

static enum vault_verdict observed_versions(struct vault *v, const char *kid, unsigned timeout_ms,
					    struct vault_versions *ret_versions,
					    struct vault_report *ret_report)
{
	const struct observed *o = observed_of(v);
	const uint64_t began_ms = clock_kernel.boot_ms();
	enum vault_verdict verdict =
		o->inner->ops->versions(o->inner, kid, timeout_ms, ret_versions, ret_report);

	tell(o, "versions", began_ms, kid, ret_report);
	return verdict;
}

static void observed_describe(struct vault *v, struct vault_identity *ret_identity)
{
	vault_describe(observed_of(v)->inner, ret_identity);
}

static void observed_close(struct vault *v)
{
	if (!v)
		return;
	vault_close(observed_of(v)->inner);
	free(v);
}

int vault_observe(struct vault *inner, vault_observer observer, void *arg, struct vault **ret_vault)
{
	struct observed *o = calloc(1, sizeof(*o));

	if (!o) {
		vault_close(inner);
		return -ENOMEM;
	}
	o->ops = (struct vault_ops){ .name = inner->ops->name,
				     .kid_prefix = inner->ops->kid_prefix,
				     .close = observed_close,
				     .get = observed_get,
				     .wrap = observed_wrap,
				     .unwrap = observed_unwrap,
				     .versions = inner->ops->versions ? observed_versions : NULL,
				     .describe = observed_describe };
	o->vault.ops = &o->ops;
	o->inner = inner;
	o->observer = observer;
	o->arg = arg;
	*ret_vault = &o->vault;
	return 0;
}
