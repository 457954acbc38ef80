/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "azure_call.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "azure_answer.h"
#include "azure_scope.h"
#include "tdefs/crypto.h"

#define CONNECT_TIMEOUT_MS 5000u
#define REQUEST_TIMEOUT_MS 10000u
#define ANSWER_MAX	   ((size_t)256 * 1024)
#define WAITS		   5 /* 1, 2, 4, 8, 16 seconds */
#define IDLE_MAX	   4
#define REFRESH_TIMEOUT_MS 2000u /* while the token in hand serves */
#define REFRESH_AGAIN_MS   60000u

struct azure_session {
	char host[KID_HOST_MAX + 8]; /* with a port that is not 443 */
	char probe_url[KID_VAULT_MAX + 64];
	struct identity_settings identity;
	const struct clock *clock;
	/* Guards what follows; never held over a request. Innermost but for the arena's. */
	pthread_mutex_t lock;
	struct azure_scope scope; /* resource "": not known yet */
	struct token token;
	struct net *idle[IDLE_MAX]; /* connections that nobody uses */
	size_t nidle;
};

struct attempt {
	struct azure_session *session;
	struct net *net;
	const char *what;
	uint64_t deadline_ms;
};

static struct net *take_net(struct azure_session *s)
{
	LOCK_SCOPE(&s->lock);

	return s->nidle > 0 ? s->idle[--s->nidle] : net_new();
}

static void put_net(struct azure_session *s, struct net *n)
{
	{
		LOCK_SCOPE(&s->lock);
		if (s->nidle < IDLE_MAX) {
			s->idle[s->nidle++] = n;
			return;
		}
	}
	net_free(n);
}

static unsigned time_left(const struct attempt *at)
{
	uint64_t now = at->session->clock->boot_ms();
	uint64_t left = at->deadline_ms > now ? at->deadline_ms - now : 1;

	return left < REQUEST_TIMEOUT_MS ? (unsigned)left : REQUEST_TIMEOUT_MS;
}

static void perform(const struct attempt *at, const char *url, const struct secret *body,
		    const struct secret *bearer, struct net_answer *ret_answer)
{
	unsigned left = time_left(at);
	const struct net_request r = {
		.method = body ? "POST" : "GET",
		.url = url,
		.body = body,
		.content_type = "application/json",
		.bearer = bearer,
		.ca_file = at->session->identity.ca_file,
		.connect_timeout_ms = left < CONNECT_TIMEOUT_MS ? left : CONNECT_TIMEOUT_MS,
		.timeout_ms = left,
		.answer_max = ANSWER_MAX,
	};

	net_perform(at->net, &r, ret_answer);
}

/* Without a token and without a body: nothing secret goes out before the answer is verified. */
static enum vault_verdict discover(const struct attempt *at, struct azure_scope *scope,
				   struct vault_report *rep)
{
	struct net_answer answer;
	struct challenge challenge;
	const char *wrong;

	perform(at, at->session->probe_url, NULL, NULL, &answer);
	if (answer.failure != NET_ANSWERED || answer.status != 401) {
		if (azure_judge(&answer, at->what, rep) == VAULT_GRANTED)
			azure_stranger(rep, at->what, "it answers without asking for a token");
	} else if (challenge_parse(answer.www_authenticate, &challenge) < 0) {
		azure_stranger(rep, at->what, "its challenge is not one of a key vault");
	} else {
		wrong = azure_scope_accept(scope, &at->session->identity, at->session->host,
					   &challenge);
		*rep = (struct vault_report){ .verdict = VAULT_GRANTED };
		if (wrong)
			azure_stranger(rep, at->what, wrong);
	}
	net_answer_release(&answer);
	return rep->verdict;
}

static enum vault_verdict find_scope(const struct attempt *at, struct azure_scope *ret_scope,
				     struct vault_report *rep)
{
	struct azure_session *s = at->session;
	struct azure_scope scope;

	{
		LOCK_SCOPE(&s->lock);
		scope = s->scope;
	}
	if (!scope.resource[0])
		scope = azure_scope_known(&s->identity, s->host);
	if (!azure_scope_is_complete(&scope, &s->identity) &&
	    discover(at, &scope, rep) != VAULT_GRANTED)
		return rep->verdict;
	LOCK_SCOPE(&s->lock);
	s->scope = scope;
	*ret_scope = scope;
	return VAULT_GRANTED;
}

static enum vault_verdict new_token(const struct attempt *at, unsigned timeout_ms,
				    struct token *ret_token, struct vault_report *rep)
{
	struct azure_session *s = at->session;
	unsigned left;
	struct token_wish wish;
	struct azure_scope scope;

	if (find_scope(at, &scope, rep) != VAULT_GRANTED)
		return rep->verdict;
	left = time_left(at);
	wish = (struct token_wish){ .resource = scope.resource,
				    .authority_host = scope.authority_host,
				    .tenant = scope.tenant,
				    .timeout_ms = left < timeout_ms ? left : timeout_ms };
	return identity_token(&s->identity, at->net, s->clock, &wish, ret_token, rep);
}

static struct secret *copy_secret(const struct secret *from)
{
	struct secret *s = secret_new(secret_len(from));

	if (s)
		memcpy(secret_bytes(s), secret_view(from), secret_len(from));
	return s;
}

/* A copy of the token in hand; NULL: there is none that can be used. */
static struct secret *cached_token(struct azure_session *s, bool *ret_due)
{
	uint64_t now = s->clock->boot_ms();
	LOCK_SCOPE(&s->lock);

	*ret_due = token_is_due(&s->token, now);
	return token_is_usable(&s->token, now) ? copy_secret(s->token.text) : NULL;
}

static void keep_token(struct azure_session *s, struct token *token)
{
	LOCK_SCOPE(&s->lock);

	token_release(&s->token);
	s->token = *token;
}

static void drop_token(struct azure_session *s)
{
	LOCK_SCOPE(&s->lock);

	token_release(&s->token);
	s->scope.resource[0] = '\0';
}

/* A refresh that failed is not tried at each call. */
static void postpone_refresh(struct azure_session *s)
{
	uint64_t again = s->clock->boot_ms() + REFRESH_AGAIN_MS;
	LOCK_SCOPE(&s->lock);

	if (s->token.text)
		s->token.refresh_ms = again;
}

/*
 * A token, if this identity has any: the one in hand, or a new one; the old one
 * if that fails, but for a denial.
 */
static enum vault_verdict authorise(const struct attempt *at, struct secret **ret_token,
				    struct vault_report *rep)
{
	struct azure_session *s = at->session;
	struct token fresh = { 0 };
	struct secret *token;
	bool due;

	rep->verdict = VAULT_GRANTED;
	if (s->identity.kind == IDENTITY_NONE)
		return VAULT_GRANTED;
	token = cached_token(s, &due);
	if (token && !due) {
		*ret_token = token;
		return VAULT_GRANTED;
	}
	if (new_token(at, token ? REFRESH_TIMEOUT_MS : REQUEST_TIMEOUT_MS, &fresh, rep) ==
	    VAULT_GRANTED) {
		secret_free(token);
		token = copy_secret(fresh.text);
		keep_token(s, &fresh);
		if (!token)
			return azure_no_memory(rep);
	} else if (rep->verdict == VAULT_DENIED) {
		secret_free(TAKE_PTR(token)); /* it outlives its identity, by up to a day */
	} else if (token) {
		postpone_refresh(s);
	}
	*ret_token = token;
	if (token)
		rep->verdict = VAULT_GRANTED;
	return rep->verdict;
}

static enum vault_verdict ask(const struct attempt *at, const struct azure_request *r,
			      struct net_answer *ret_answer, struct vault_report *rep)
{
	CLEANUP_SECRET struct secret *token = NULL;

	if (authorise(at, &token, rep) != VAULT_GRANTED)
		return rep->verdict;
	perform(at, r->url, r->body, token, ret_answer);
	return azure_judge(ret_answer, r->what, rep);
}

/* One attempt; after a 401, once more with a new token. */
static enum vault_verdict attempt(const struct attempt *at, const struct azure_request *r,
				  struct net_answer *ret_answer, struct vault_report *rep)
{
	*ret_answer = (struct net_answer){ 0 };
	if (ask(at, r, ret_answer, rep) == VAULT_GRANTED)
		return VAULT_GRANTED;
	if (ret_answer->status == 401 && at->session->identity.kind != IDENTITY_NONE) {
		net_answer_release(ret_answer);
		drop_token(at->session);
		if (ask(at, r, ret_answer, rep) == VAULT_GRANTED)
			return VAULT_GRANTED;
		rep->credential_alarm = rep->credential_alarm || ret_answer->status == 401;
	}
	rep->retry_after_ms =
		azure_retry_after_ms(ret_answer->retry_after, at->session->clock->now());
	net_answer_release(ret_answer);
	return rep->verdict;
}

/* 1, 2, 4, 8, 16 seconds, each up to a fifth more or less, and not before Retry-After. */
static uint64_t wait_ms(unsigned n, const struct vault_report *rep)
{
	uint64_t ms = (uint64_t)1000 << n;
	uint16_t chance = 0;

	if (random_bytes(&chance, sizeof(chance)) == 0)
		ms = ms * 4 / 5 + ms * 2 / 5 * chance / UINT16_MAX;
	return ms > rep->retry_after_ms ? ms : rep->retry_after_ms;
}

enum vault_verdict azure_call(struct azure_session *s, const struct azure_request *r,
			      struct net_answer *ret_answer, struct vault_report *rep)
{
	struct attempt at = { .session = s,
			      .net = take_net(s),
			      .what = r->what,
			      .deadline_ms = s->clock->boot_ms() + r->timeout_ms };

	*rep = (struct vault_report){ 0 };
	if (!at.net)
		return azure_no_memory(rep);
	for (unsigned n = 0;; n++) {
		uint64_t wait;

		if (attempt(&at, r, ret_answer, rep) == VAULT_GRANTED || n == WAITS ||
		    !azure_is_transient(rep))
			break;
		wait = wait_ms(n, rep);
		if (s->clock->boot_ms() + wait >= at.deadline_ms)
			break;
		s->clock->sleep_ms(wait);
	}
	put_net(s, at.net);
	return rep->verdict;
}

int azure_session_new(const struct kid *kid, const struct settings *settings,
		      const struct clock *clock, struct azure_session **ret_session,
		      struct errmsg *reterr)
{
	struct azure_session *s = calloc(1, sizeof(*s));
	char vault[KID_VAULT_MAX];
	int r;

	if (!s)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "key vault: out of memory");
	r = identity_settle(settings, &s->identity, reterr);
	if (r < 0) {
		free(s);
		return r;
	}
	(void)snprintf(s->probe_url, sizeof(s->probe_url), "%s/keys/%s?api-version=7.4",
		       kid_vault(kid, vault), kid->name);
	(void)snprintf(s->host, sizeof(s->host), "%s", vault + strlen("https://"));
	s->clock = clock;
	pthread_mutex_init(&s->lock, NULL);
	*ret_session = s;
	return 0;
}

void azure_session_describe(struct azure_session *s, struct vault_identity *ret_identity)
{
	const struct identity_settings *id = &s->identity;
	uint64_t boot_ms = s->clock->boot_ms();
	struct vault_identity *out = ret_identity;
	LOCK_SCOPE(&s->lock);

	*out = (struct vault_identity){ .kind = identity_kind_name(id->kind) };
	(void)snprintf(out->client_id, sizeof(out->client_id), "%s",
		       id->client_id ? id->client_id : "");
	(void)snprintf(out->tenant, sizeof(out->tenant), "%s",
		       id->tenant_id ? id->tenant_id : s->scope.tenant);
	if (s->token.text && s->token.expires_ms > boot_ms)
		out->token_until = s->clock->now() + (s->token.expires_ms - boot_ms) / 1000;
}

void azure_session_free(struct azure_session *s)
{
	if (!s)
		return;
	while (s->nidle > 0)
		net_free(s->idle[--s->nidle]);
	token_release(&s->token);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
