/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault serve: start-up order, readiness, rounds of upkeep, the end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tdefs/log.h"

#include "cert.h"
#include "cli.h"
#include "fault.h"
#include "http.h"
#include "identity.h"
#include "imds.h"
#include "maintain.h"
#include "notify.h"
#include "tls.h"

#define ROUND_SECONDS	 30
#define ROUND_TEST_MS	 200 /* where tests move the clock */
#define DESCRIPTORS_MORE 256

struct service {
	struct vault vault;
	struct dbpool pool;
	struct http http;
	struct imds imds;
	sqlite3 *db; /* the main thread's */
	int lock_fd, listen_fd;
	char address[280];
	char names[1024]; /* of the certificate */
};

/* A release start and faults do not go together: loudly. */
static int check_faults(struct call *call, sqlite3 *db)
{
	int64_t count;
	int r = fault_count(db, &count);

	if (r < 0 || call->allow_test_faults || count == 0)
		return r;
	errmsg_next(&call->err,
		    PROGRAM
		    " fault clear --data %s --allow-test-faults; this vault has been used for "
		    "tests",
		    call->data);
	return errmsg_fail(&call->err, -EPERM, EXIT_CODE_POLICY,
			   "%s: %lld FAULTS FOR TESTS are set in this vault: it is not served",
			   call->data, (long long)count);
}

/* What only the first start decides must not be silently different later. */
static int check_birth(struct call *call, const struct vault *v)
{
	if (!v->just_created && call->no_purge_protection && v->purge_protection) {
		errmsg_next(&call->err, "leave --no-purge-protection out");
		return errmsg_fail(&call->err, -EPERM, EXIT_CODE_POLICY,
				   "%s: purge protection of a vault cannot be taken back", v->dir);
	}
	return 0;
}

static int open_vault(struct call *call, struct service *s)
{
	const struct vault_birth birth = {
		.name = call->vault_name ? call->vault_name : PROGRAM,
		.retention_days = call->retention_days,
		.purge_protection = !call->no_purge_protection,
	};
	int r = vault_create(call->data, &birth, &call->master, &s->vault, &call->err);

	if (r < 0)
		return r;
	s->vault.faults_allowed = call->allow_test_faults;
	s->vault.token_lifetime = call->token_lifetime;
	if (call->resource)
		s->vault.resource = call->resource;
	r = vault_lock(&s->vault, &s->lock_fd);
	if (r == -EBUSY) {
		errmsg_next(&call->err, "stop that one first");
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: another server runs on it",
				   call->data);
	}
	if (r == 0)
		r = db_open(call->data, DB_EXISTING, &s->db, &call->err);
	if (r == 0)
		r = check_birth(call, &s->vault);
	return r < 0 ? r : check_faults(call, s->db);
}

/* Hosts and addresses under which the vault is reached. */
static void collect_names(const struct call *call, struct service *s)
{
	char host[256] = "", own[256] = "";
	const char *colon = strrchr(call->listen, ':');
	int n = colon ? (int)(colon - call->listen) : 0;

	(void)snprintf(host, sizeof(host), "%.*s", n, call->listen);
	if (host[0] == '[') {
		memmove(host, host + 1, strlen(host));
		host[strcspn(host, "]")] = '\0';
	}
	if (gethostname(own, sizeof(own) - 1) < 0)
		own[0] = '\0';
	(void)snprintf(s->names, sizeof(s->names), "localhost,127.0.0.1,::1%s%s%s%s%s%s",
		       own[0] ? "," : "", own, host[0] ? "," : "", host, call->names ? "," : "",
		       call->names ? call->names : "");
}

static int start_tls(struct call *call, struct service *s)
{
	struct server_cert cert = { 0 };
	bool renewed;
	int r;

	collect_names(call, s);
	r = cert_prepare(&s->vault, s->db, s->names, vault_now(&s->vault, s->db), &cert, &renewed);
	if (r == 0)
		r = tls_use(&cert);
	cert_release(&cert);
	if (r < 0) {
		errmsg_next(&call->err, "look at --names and --listen");
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED,
				   "cannot make a server certificate for %s: %s", s->names,
				   errno_text(r));
	}
	return 0;
}

static int start_imds(struct call *call, struct service *s)
{
	struct identity id = { 0 };
	int r;

	if (!call->imds)
		return 0;
	s->imds = (struct imds){ .vault = &s->vault, .pool = &s->pool };
	s->imds.config.port = call->imds;
	s->imds.config.identity = call->imds_identity;
	if (!call->imds_identity || !call->imds_uids ||
	    !imds_parse_uids(call->imds_uids, &s->imds.config)) {
		errmsg_next(&call->err, "add --imds-identity NAME --imds-uid UID[,UID]");
		return errmsg_fail(
			&call->err, -EINVAL, EXIT_CODE_CONFIG,
			"--imds needs an identity and the users that may ask for its tokens");
	}
	r = identity_by_name(s->db, call->imds_identity, &id);
	if (r == 1)
		identity_release(&id);
	if (r == 0)
		log_warning("managed identity %s: there is none yet", call->imds_identity);
	return r < 0 ? r : imds_start(&s->imds, &call->err);
}

/* A descriptor a connection and some more. */
static void raise_descriptors(unsigned clients)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= clients + DESCRIPTORS_MORE)
		return;
	limit.rlim_cur = limit.rlim_max < clients + DESCRIPTORS_MORE ? limit.rlim_max
								     : clients + DESCRIPTORS_MORE;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files: %s", errno_text(errno));
}

static void say_new(const struct call *call, const struct service *s)
{
	if (!s->vault.just_created || call->json)
		return;
	printf("made a vault in %s; its master key is %s: keep a copy of that apart\n", call->data,
	       call->master.passphrase_path ? "your passphrase" : master_path(&call->master));
	printf("put into tdefs.conf, after `" PROGRAM " identity add` and `key create`:\n"
	       "  [server]\n"
	       "  protector          = https://%s/keys/NAME\n"
	       "  identity           = client-secret\n"
	       "  tenant_id          = %s\n"
	       "  client_id          = CLIENT_ID\n"
	       "  client_secret_file = /etc/tdefs/client-secret\n"
	       "  authority_host     = https://%s\n"
	       "  ca_file            = %s/" CA_FILE "\n",
	       s->address, s->vault.tenant, s->address, call->data);
}

static int start(struct call *call, struct service *s)
{
	int r = open_vault(call, s);

	if (r == 0)
		r = start_tls(call, s);
	if (r == 0)
		r = listen_on(call->listen, &s->listen_fd, s->address, sizeof(s->address),
			      &call->err);
	if (r < 0)
		return r;
	(void)snprintf(s->vault.url, sizeof(s->vault.url), "https://%s", s->address);
	r = db_meta_set_text(s->db, "url", s->vault.url);
	if (r < 0)
		return r;
	raise_descriptors((unsigned)call->max_clients);
	dbpool_init(&s->pool, call->data);
	s->http = (struct http){ .vault = &s->vault, .pool = &s->pool };
	s->http.max_clients = (unsigned)call->max_clients;
	r = http_start(&s->http, TAKE_FD(s->listen_fd));
	if (r < 0)
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: cannot serve", s->address);
	return start_imds(call, s);
}

static void tell_service_manager(const struct service *s)
{
	char text[sizeof(s->address) + 32];
	int fd = notify_open();

	(void)snprintf(text, sizeof(text), "READY=1\nSTATUS=listening on %s", s->address);
	notify_send(fd, text);
	if (fd >= 0)
		close(fd);
}

static json_t *ready_json(const struct service *s)
{
	return json_pack("{s:s, s:o, s:b}", "listening", s->address, "managed_identity_port",
			 s->imds.daemon ? json_integer(s->imds.port) : json_null(), "new_vault",
			 (int)s->vault.just_created);
}

static void say_ready(const struct call *call, const struct service *s)
{
	say_new(call, s);
	if (call->allow_test_faults)
		log_warning("FAULTS FOR TESTS ARE ALLOWED: this is no vault to trust");
	if (call->json)
		IGNORE_RESULT(print_json(ready_json(s), EXIT_CODE_DONE), "it says so itself");
	else if (s->imds.daemon)
		printf("managed identity on 127.0.0.1:%u\n", s->imds.port);
	if (!call->json)
		printf("listening on %s\n", s->address);
	IGNORE_RESULT(fflush(stdout), "nobody is waiting for it then");
	tell_service_manager(s);
}

static void run_until_signal(struct service *s, const sigset_t *signals)
{
	const struct timespec round = s->vault.faults_allowed
					      ? (struct timespec){ 0, ROUND_TEST_MS * 1000000L }
					      : (struct timespec){ ROUND_SECONDS, 0 };

	while (sigtimedwait(signals, NULL, &round) < 0)
		if (errno == EAGAIN)
			maintain(&s->vault, s->db, s->names);
}

static void stop(struct service *s)
{
	imds_stop(&s->imds);
	if (s->http.daemon) {
		http_stop(&s->http);
		dbpool_release(&s->pool);
	}
	tls_release();
	db_close(s->db);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	vault_release(&s->vault);
}

int verb_serve(struct call *call)
{
	struct service s = { .vault.dirfd = -1, .lock_fd = -1, .listen_fd = -1 };
	sigset_t signals;
	int r;

	/* Before any thread, so that all of them leave these to us. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = start(call, &s);
	if (r == 0) {
		say_ready(call, &s);
		run_until_signal(&s, &signals);
	}
	stop(&s);
	return r < 0 ? call_errno(call, r, "cannot serve") : EXIT_CODE_DONE;
}
