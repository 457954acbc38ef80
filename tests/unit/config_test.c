/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs.conf: what is read, inherited, refused, and how it is said. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "tdefs/config.h"

static struct config *parse(const char *text)
{
	struct errmsg err = { 0 };
	struct config *c = NULL;

	if (config_parse("t.conf", text, &c, &err) < 0)
		print_error("%s\n%s\n", err.text, err.next);
	assert_non_null(c);
	return c;
}

static void volumes_inherit_and_override(void **state)
{
	struct config *c = parse("; a comment\n"
				 "[server]\n"
				 "protector = file:/etc/k.pem ; inline\n"
				 "cache = writeback\n"
				 "threads = 5\n"
				 "log = /var/log/t\n"
				 "metrics_listen = 127.0.0.1:9100\n"
				 "state_dir = /s/\n"
				 "\n"
				 "[volume a]\n"
				 "backing = /b/a//\n"
				 "mount = /m/a\n"
				 "[volume b.2_x-y]\n"
				 "backing = /b/b\n"
				 "mount = /m/b\n"
				 "cache = write-through\n"
				 "protector = file:/other.pem\n"
				 "metrics_listen = none\n"
				 "lock_memory = no\n"
				 "seccomp = no\n");
	struct errmsg err = { 0 };
	const struct volume_config *v;

	(void)state;
	assert_int_equal(c->nvolumes, 2);
	assert_string_equal(c->state_dir, "/s");
	assert_string_equal(c->runtime_dir, "/run/tdefs");
	assert_int_equal(config_volume(c, "a", &v, &err), 0);
	assert_string_equal(v->backing, "/b/a");
	assert_string_equal(v->settings.protector, "file:/etc/k.pem");
	assert_int_equal(v->settings.cache, CACHE_WRITEBACK);
	assert_int_equal(v->settings.threads, 5);
	assert_true(v->settings.lock_memory);
	assert_true(v->settings.seccomp);
	assert_string_equal(v->settings.log, "/var/log/t");
	assert_string_equal(v->settings.metrics_listen, "127.0.0.1:9100");
	assert_int_equal(config_volume(c, "b.2_x-y", &v, &err), 0);
	assert_string_equal(v->settings.protector, "file:/other.pem");
	assert_int_equal(v->settings.cache, CACHE_WRITE_THROUGH);
	assert_false(v->settings.lock_memory);
	assert_false(v->settings.seccomp);
	assert_string_equal(v->settings.metrics_listen, "");
	assert_int_equal(v->settings.threads, 5);
	config_free(c);
}

/* Where [server] stands does not matter. */
static void server_may_come_last(void **state)
{
	struct config *c = parse("[volume a]\nbacking=/b\nmount=/m\n[server]\nprotector=file:/k\n");

	(void)state;
	assert_string_equal(c->volumes[0].settings.protector, "file:/k");
	assert_string_equal(c->state_dir, "/var/lib/tdefs");
	assert_int_equal(c->volumes[0].settings.threads, 16);
	assert_null(c->volumes[0].settings.log);
	config_free(c);
}

#define KEY    "https://a.example/keys/k"
#define OTHER  "https://b.example/keys/k"
#define AT_KEY "[volume a]\nbacking = /b\nmount = /m\nprotector = " KEY "\n"
#define VOLUME "[volume a]\nbacking = /b\nmount = /m\nprotector = file:/k\n"

static void mistakes_are_named_with_line_reason_and_next_step(void **state)
{
	static const struct {
		const char *text, *message, *next;
	} cases[] = {
		{ "[server]\nmetrics_listen = 0.0.0.0:9100\n", "t.conf:2: metrics_listen",
		  "127.0.0.1:PORT" },
		{ "[server]\nmetrics_listen = 127.0.0.1:80\n", "t.conf:2: metrics_listen", "1024" },
		{ "[server]\nmetrics_listen = 127.0.0.1:65536\n", "t.conf:2: metrics_listen",
		  "65535" },
		{ "[server]\nmetrics_listen = 127.0.0.1:09100\n", "t.conf:2: metrics_listen", "" },
		{ "[server]\nmetrics_listen = [::]:9100\n", "t.conf:2: metrics_listen", "[::1]" },
		{ "[server]\nmetrics_listen = localhost:9100\n", "t.conf:2: metrics_listen", "" },
		{ "[server]\nmetrics_listen = 127.0.0.1:9100\n" VOLUME
		  "[volume b]\nbacking = /c\nmount = /n\nprotector = file:/k\n",
		  "volumes a and b have the same metrics_listen 127.0.0.1:9100", "inherited" },
		{ VOLUME "metrics_listen = /m/metrics\n",
		  "metrics_listen = /m/metrics lies in the "
		  "mount of volume a",
		  "outside" },
		{ "[server]\nproctor = x\n", "t.conf:2: proctor: unknown key in [server]",
		  "protector" },
		{ VOLUME "state_dir = /x\n", "t.conf:5: state_dir: unknown key in [volume a]",
		  "backing" },
		{ "[server]\ncache = fast\n", "t.conf:2: cache = fast: not valid",
		  "write-through or writeback" },
		{ "[server]\ndirect_files = none *.log\n", "t.conf:2: direct_files", "or none" },
		{ "[server]\ndirect_files = *.log\ndirect_files = none\n", "t.conf:3: direct_files",
		  "or none" },
		{ "[server]\ndirect_files = pg_wal/*\n", "t.conf:2: direct_files", "own names" },
		{ "[server]\ndirect_files =\n", "t.conf:2: direct_files", "own names" },
		{ "[server]\nthreads = 1\n", "t.conf:2: threads = 1", "2 to 256" },
		{ "[server]\nthreads = 257\n", "t.conf:2: threads = 257", "2 to 256" },
		{ "[server]\nthreads = 4x\n", "t.conf:2: threads = 4x", "2 to 256" },
		{ "[server]\nthreads = -4\n", "t.conf:2: threads = -4", "2 to 256" },
		{ "[server]\nthreads =\n", "t.conf:2: threads", "2 to 256" },
		{ "[server]\nlock_memory = true\n", "t.conf:2: lock_memory = true", "yes or no" },
		{ "[server]\nlog = relative\n", "t.conf:2: log = relative", "absolute" },
		{ "[server]\nprotector = /etc/k.pem\n", "t.conf:2: protector = /etc/k.pem",
		  "file:/absolute" },
		{ "[server]\nprotector = file:k.pem\n", "t.conf:2: protector", "file:/absolute" },
		{ "[server]\nprotector = https://v.vault.azure.net/secrets/k\n",
		  "t.conf:2: protector", "https://VAULT/keys/NAME[/VERSION]" },
		{ "[server]\nidentity = me\n", "t.conf:2: identity = me",
		  "managed, client-secret" },
		{ "[server]\ntenant_id = a/b\n", "t.conf:2: tenant_id = a/b", "a tenant's id" },
		{ "[server]\nclient_id = \"a\"\n", "t.conf:2: client_id", "a client's id" },
		{ "[server]\nauthority_host = http://h\n", "t.conf:2: authority_host",
		  "https://HOST" },
		{ "[server]\nca_file = ca.pem\n", "t.conf:2: ca_file", "absolute path" },
		{ "[policy]\ncustomer_managed_key = refuse\n", "t.conf:2: customer_managed_key",
		  "audit, deny or disabled" },
		{ "[policy]\nminimum_rsa_bits = 2047\n", "t.conf:2: minimum_rsa_bits",
		  "2048 to 4096" },
		{ "[policy]\nminimum_rsa_bits = 4097\n", "t.conf:2: minimum_rsa_bits",
		  "2048 to 4096" },
		{ "[policy]\nrequire_purge_protection = maybe\n",
		  "t.conf:2: require_purge_protection", "yes or no" },
		{ "[server]\nrequire_purge_protection = no\n",
		  "t.conf:2: require_purge_protection: unknown key in [server]", "protector" },
		{ "[volume a]\nbacking = b\n", "t.conf:2: backing = b", "absolute path" },
		{ "[server]\ncache = writeback\ncache = writeback\n",
		  "t.conf:3: cache is set twice", "keep one" },
		{ "cache = writeback\n", "t.conf:1: a setting before any section", "[server]" },
		{ "[servers]\ncache = writeback\n", "t.conf:1: unknown section", "[volume NAME]" },
		{ "[volume a/b]\nbacking = /b\n", "t.conf:1: the volume's name is not valid",
		  "letters" },
		{ "[volume .a]\nbacking = /b\n", "t.conf:1: the volume's name", "letters" },
		{ "[volume ]\nbacking = /b\n", "t.conf:1: the volume's name", "letters" },
		{ "[volume abcdefghijklmnopqrstuvwxyzabcdefg]\nbacking = /b\n",
		  "t.conf:1: the volume's name", "1 to 32" },
		{ "[server]\nnonsense\n", "t.conf:2: neither a section", "key = value" },
		{ "[server\ncache = writeback\n", "t.conf:1: neither", "key = value" },
		{ "[volume a]\nmount = /m\nprotector = file:/k\n", "volume a has no backing",
		  "backing = ..." },
		{ "[volume a]\nbacking = /b\nprotector = file:/k\n", "volume a has no mount",
		  "mount = ..." },
		{ "[volume a]\nbacking = /b\nmount = /m\n", "volume a has no protector",
		  "or to [server]" },
		{ VOLUME "[volume b]\nbacking = /b\nmount = /n\nprotector = file:/k\n",
		  "volumes a and b have the same backing /b", "of its own" },
		{ "[servers]\n", "t.conf:1: unknown section", "[volume NAME]" },
		{ VOLUME "[volume b]\n", "volume b has no backing", "[volume b]" },
		{ VOLUME " [volume b] ; empty\n[server]\n", "t.conf:", "" },
		{ "[server]\n\t[volume b]\n", "volume b has no backing", "[volume b]" },
		{ "[server]\nstate_dir = /b/state\n" VOLUME,
		  "t.conf: state_dir = /b/state lies in the backing of volume a", "state_dir" },
		{ "[server]\nruntime_dir = //m/\n" VOLUME,
		  "t.conf: runtime_dir = /m lies in the mount of volume a", "outside" },
		{ "[server]\nlog = /b//x.log\n" VOLUME, "log = /b/x.log lies in the backing",
		  "\"log\"" },
		{ VOLUME "[volume b]\nbacking = /c\nmount = /n\nprotector = file:/k\nlog = /m/l\n",
		  "log = /m/l lies in the mount of volume a", "outside" },
		{ "[server]\non_event = tell me\n" VOLUME, "t.conf:2: on_event", "absolute path" },
		{ "[server]\non_event = /m/tell me\n" VOLUME, "lies in the mount of volume a",
		  "on_event" },
		{ "[server]\nwebhook_file = /b/w\n" VOLUME, "lies in the backing of volume a",
		  "webhook_file" },
		{ VOLUME "[volume b]\nbacking = /c\nmount = //m//\nprotector = file:/k\n",
		  "volumes a and b have the same mount /m", "of its own" },
		{ VOLUME "[volume b]\nbacking = /c\nmount = /m/\nprotector = file:/k\n",
		  "volumes a and b have the same mount /m", "of its own" },
		{ AT_KEY "secondary = file:/k\n", "t.conf:5: secondary = file:/k",
		  "the same key in another vault" },
		{ AT_KEY "secondary = https://A.example:443/keys/other\n",
		  "protector and secondary are in the same vault, a.example", "another vault" },
		{ AT_KEY "allowed_vaults = b.example a.example:8443\n",
		  "allowed_vaults lack the host of " KEY, "add a.example to" },
		{ AT_KEY "secondary = " OTHER "\nallowed_vaults = a.example\n",
		  "allowed_vaults lack the host of " OTHER, "add b.example to" },
		{ AT_KEY "allowed_vaults = ,\n", "t.conf:5: allowed_vaults", "HOST:PORT" },
		{ AT_KEY "linked = " OTHER ", nonsense\n", "t.conf:5: linked", "kids" },
		{ AT_KEY "linked = " OTHER "\nallowed_vaults = a.example\n",
		  "allowed_vaults lack the host of " OTHER, "add b.example to" },
		{ AT_KEY "allowed_vaults = https://a\n", "t.conf:5: allowed_vaults", "HOST:PORT" },
		{ AT_KEY "[vault b.example]\nidentity = none\n",
		  "[vault b.example]: no volume uses this vault", "allowed_vaults" },
		{ AT_KEY "[vault b.example]\n", "[vault b.example]: no volume uses", "remove it" },
		{ AT_KEY "[vault a.example:8443]\n", "no volume uses this vault", "HOST:PORT" },
		{ "[vault a/b]\n", "t.conf:1: the vault's host is not valid", "HOST:PORT" },
		{ "[vault a.example]\nprotector = " KEY "\n",
		  "t.conf:2: protector: unknown key in [vault a.example]", "ca_file" },
		{ "[vault a.example]\nca_file = /a\n[vault A.example:443]\nca_file = /a\n",
		  "t.conf:4: ca_file is set twice", "keep one" },
		{ AT_KEY "rotation_poll = 59s\n", "rotation_poll = 59s: not valid",
		  "1m to 1d, or 0" },
		{ AT_KEY "rotation_poll = 25h\n", "rotation_poll = 25h: not valid", "or 0" },
		{ AT_KEY "rotation_poll = 0\nauto_rotate = yes\n",
		  "volume a: auto_rotate needs rotation_poll", "to 1m to 1d" },
		{ AT_KEY "probe_interval = 5m\nprobe_timeout = 60s\n"
			 "denied_confirm_interval = 10s\nsecondary = " OTHER "\n",
		  "would be down 720 s after its key is denied", "probe_timeout" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errmsg err = { 0 };
		struct config *c = NULL;

		assert_int_equal(config_parse("t.conf", cases[i].text, &c, &err), -EINVAL);
		assert_null(c);
		if (!strstr(err.text, cases[i].message) || !strstr(err.next, cases[i].next)) {
			print_error("case %zu: \"%s\" / \"%s\"\n", i, err.text, err.next);
			fail();
		}
		assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
	}
}

/* A line has room for one kid or two. */
static void linked_keys_may_stand_in_several_lines(void **state)
{
	struct config *c = parse("[server]\nlinked = file:/1\n" AT_KEY "linked = " OTHER ", " KEY
				 "\nlinked = file:/2 ; old\n");

	(void)state;
	assert_string_equal(c->server.linked, "file:/1");
	assert_string_equal(c->volumes[0].settings.linked, OTHER ", " KEY " file:/2");
	config_free(c);
}

static void neighbours_of_a_volume_are_not_in_it(void **state)
{
	struct config *c =
		parse("[server]\nstate_dir = /bb\nruntime_dir = /\nlog = /m.log\n" VOLUME);

	(void)state;
	config_free(c);
}

static void vault_settings_are_read_and_inherited(void **state)
{
	struct config *c = parse("[policy]\nrequire_purge_protection = no\n"
				 "customer_managed_key = deny\nminimum_rsa_bits = 3072\n"
				 "[server]\nprotector = https://V.example:8443/keys/k\n"
				 "identity = workload\ntenant_id = t\nclient_id = c\n"
				 "client_secret_file = /s\nclient_certificate_file = /c\n"
				 "federated_token_file = /f\nauthority_host = https://a\n"
				 "ca_file = /ca\n"
				 "[volume a]\nbacking = /b\nmount = /m\n"
				 "[volume b]\nbacking = /bb\nmount = /mm\nidentity = none\n");
	const struct settings *a = &c->volumes[0].settings, *b = &c->volumes[1].settings;

	(void)state;
	assert_false(c->policy.require_purge_protection);
	assert_false(c->policy.require_key_backup);
	assert_int_equal(c->policy.customer_managed_key, POLICY_DENY);
	assert_int_equal(c->policy.minimum_rsa_bits, 3072);
	assert_int_equal(a->identity, IDENTITY_WORKLOAD);
	assert_int_equal(b->identity, IDENTITY_NONE);
	assert_string_equal(a->tenant_id, "t");
	assert_string_equal(b->client_id, "c");
	assert_string_equal(b->client_secret_file, "/s");
	assert_string_equal(b->client_certificate_file, "/c");
	assert_string_equal(b->federated_token_file, "/f");
	assert_string_equal(b->authority_host, "https://a");
	assert_string_equal(b->ca_file, "/ca");
	assert_string_equal(b->protector, "https://V.example:8443/keys/k");
	config_free(c);
	c = parse(VOLUME);
	assert_true(c->policy.require_purge_protection);
	assert_int_equal(c->policy.customer_managed_key, POLICY_AUDIT);
	assert_int_equal(c->policy.minimum_rsa_bits, 2048);
	assert_int_equal(c->volumes[0].settings.identity, IDENTITY_AUTO);
	assert_null(c->volumes[0].settings.ca_file);
	config_free(c);
}

/* Its name is longer than inih passes on. */
#define HSM "a-managed-hsm-with-its-name.managedhsm.azure.net"

static void a_vault_has_an_identity_of_its_own(void **state)
{
	struct config *c = parse("[vault " HSM ":8443]\nclient_id = dr\nca_file = /dr\n"
				 "[server]\nprotector = " KEY "\nclient_id = all\n"
				 "tenant_id = t\nsecondary = https://" HSM ":8443/keys/k\n"
				 "[volume a]\nbacking = /b\nmount = /m\ntenant_id = u\n");
	const struct settings *s = &c->volumes[0].settings, *dr;

	(void)state;
	assert_ptr_equal(settings_for_vault(s, KEY), s);
	dr = settings_for_vault(s, s->secondary);
	assert_string_equal(dr->client_id, "dr");
	assert_string_equal(dr->ca_file, "/dr");
	assert_string_equal(dr->tenant_id, "u");
	assert_string_equal(s->client_id, "all");
	assert_null(s->ca_file);
	dr = settings_for_vault(&c->server, s->secondary);
	assert_string_equal(dr->client_id, "dr");
	assert_string_equal(dr->tenant_id, "t");
	config_free(c);
}

static void only_named_vaults_are_allowed(void **state)
{
	struct config *c = parse("[server]\nprotector = " KEY "\nsecondary = " OTHER "\n"
				 "[volume a]\nbacking = /b\nmount = /m\n"
				 "[volume b]\nbacking = /bb\nmount = /mm\n"
				 "allowed_vaults = a.example, B.example:443 \tc.example:8443\n");
	const struct settings *a = &c->volumes[0].settings, *b = &c->volumes[1].settings;

	(void)state;
	assert_true(settings_allow_host(a, "a.example"));
	assert_true(settings_allow_host(a, "b.example"));
	assert_false(settings_allow_host(a, "c.example:8443"));
	assert_false(settings_allow_host(a, "a.example:8443"));
	assert_true(settings_allow_host(b, "a.example"));
	assert_true(settings_allow_host(b, "b.example"));
	assert_true(settings_allow_host(b, "c.example:8443"));
	assert_false(settings_allow_host(b, "c.example"));
	assert_false(settings_allow_host(b, "a.exampl"));
	config_free(c);
}

/* Another protector is another key: the server's secondary is none of it. */
static void a_secondary_goes_with_its_protector(void **state)
{
	struct config *c = parse("[server]\nprotector = " KEY "\nsecondary = " OTHER "\n"
				 "[volume a]\nbacking = /b\nmount = /m\n"
				 "[volume b]\nbacking = /bb\nmount = /mm\nprotector = file:/k\n"
				 "[volume c]\nbacking = /bbb\nmount = /mmm\nprotector = file:/k\n"
				 "secondary = " KEY "\n");

	(void)state;
	assert_string_equal(c->volumes[0].settings.secondary, OTHER);
	assert_null(c->volumes[1].settings.secondary);
	assert_string_equal(c->volumes[2].settings.secondary, KEY);
	config_free(c);
}

static void a_hook_is_a_path_and_words(void **state)
{
	struct config *c = parse("[server]\non_event = /bin/tell me  of it\nwebhook_file = /w\n"
				 "webhook_ca_file = /ca\n" VOLUME);
	const struct settings *s = &c->volumes[0].settings;

	(void)state;
	assert_string_equal(s->on_event, "/bin/tell me  of it");
	assert_string_equal(s->hook_user, "nobody");
	assert_string_equal(s->webhook_file, "/w");
	assert_string_equal(s->webhook_ca_file, "/ca");
	config_free(c);
}

static void long_lines_are_refused_not_cut(void **state)
{
	char text[1000] = "[server]\nlog = /";
	struct errmsg err = { 0 };
	struct config *c = NULL;

	(void)state;
	memset(text + strlen(text), 'x', 300);
	strcat(text, "\n");
	assert_int_equal(config_parse("t.conf", text, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "t.conf:2: the line is too long"));
}

static void unknown_volumes_list_the_known(void **state)
{
	struct config *c = parse(VOLUME), *none = parse("");
	const struct volume_config *v = NULL;
	struct errmsg err = { 0 };

	(void)state;
	assert_int_equal(config_volume(c, "b", &v, &err), -ENOENT);
	assert_string_equal(err.text, "t.conf: no volume b");
	assert_string_equal(err.next, "name one of: a");
	assert_int_equal(config_volume(none, "b", &v, &err), -ENOENT);
	assert_string_equal(err.next, "add a section [volume NAME]");
	assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
	config_free(c);
	config_free(none);
}

static void write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void path_comes_from_argument_then_environment(void **state)
{
	char dir[TEMPORARY_PATH_MAX], path[TEMPORARY_PATH_MAX + 8];
	struct errmsg err = { 0 };
	struct config *c = NULL;

	(void)state;
	assert_int_equal(temporary_directory(dir), 0);
	(void)snprintf(path, sizeof(path), "%s/t.conf", dir);
	write_file(path, VOLUME, strlen(VOLUME));
	assert_int_equal(setenv("TDEFS_CONFIG", path, 1), 0);
	assert_int_equal(config_load(NULL, &c, &err), 0);
	assert_string_equal(c->path, path);
	config_free(c);
	c = NULL;
	assert_int_equal(config_load("/nonexistent/t.conf", &c, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/t.conf: cannot open: No such file"));
	assert_non_null(strstr(err.next, "--config"));
	unsetenv("TDEFS_CONFIG");
	write_file(path, "[server]\n\0\n", 11);
	assert_int_equal(config_load(path, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a text file"));
	assert_int_equal(truncate(path, 1024 * 1024 + 1), 0);
	assert_int_equal(config_load(path, &c, &err), -EFBIG);
	assert_int_equal(config_load("/", &c, &err), -EISDIR);
	assert_null(c);
	assert_int_equal(temporary_remove(dir), 0);
}

static void the_sample_is_valid(void **state)
{
	struct errmsg err = { 0 };
	struct config *c = NULL;

	(void)state;
	assert_int_equal(config_load(TDEFS_VECTORS "/../../conf/tdefs.conf", &c, &err), 0);
	assert_int_equal(c->nvolumes, 1);
	config_free(c);
}

/* Of what rotates by itself a version is only the start; of each volume, as it is set there. */
static void a_version_is_only_the_start_of_what_rotates_by_itself(void **state)
{
	static const char key[] = "https://a.vault.azure.net/keys/k";
	static const char text[] =
		"[server]\nprotector = "
		"https://a.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef\n"
		"[volume stays]\nbacking = /b\nmount = /m\n"
		"[volume moves]\nbacking = /c\nmount = /n\nauto_rotate = yes\n"
		"[volume newest]\nbacking = /d\nmount = /o\nauto_rotate = yes\n"
		"protector = https://a.vault.azure.net/keys/k\n"
		"[volume file]\nbacking = /e\nmount = /p\nauto_rotate = yes\n"
		"protector = file:/k/v.pem\n";
	CLEANUP_CONFIG struct config *c = NULL;
	struct errmsg err = { 0 };
	const struct volume_config *v;

	(void)state;
	assert_int_equal(config_parse("t.conf", text, &c, &err), 0);
	v = c->volumes;
	assert_string_equal(v[0].settings.protector, c->server.protector);
	assert_null(v[0].settings.start);
	assert_string_equal(v[1].settings.protector, key);
	assert_string_equal(v[1].settings.start, c->server.protector);
	assert_string_equal(v[2].settings.protector, key);
	assert_null(v[2].settings.start);
	assert_string_equal(v[3].settings.protector, "file:/k/v.pem");
	assert_null(v[3].settings.start);
}

static bool is_direct(const char *lines, const char *name)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CONFIG struct config *c = NULL;

	if (asprintf(&text,
		     "[server]\nprotector = file:/k\n%s\n"
		     "[volume v]\nbacking = /b\nmount = /m\n",
		     lines) < 0)
		fail();
	c = parse(text);
	return settings_is_direct(&c->volumes[0].settings, name);
}

static void known_logs_are_direct_by_default_list(void **state)
{
	static const char *const logs[] = {
		"xlogtemp.4711",
		"000000010000000A000000FF",
		"000000010000000A000000FF.partial",
		"ib_logfile0",
		"ib_logfile101",
		"#ib_redo12",
		"#ib_redo13_tmp",
		"WiredTigerLog.0000000001",
		"WiredTigerPreplog.0000000001",
		"WiredTigerTmplog.0000000001",
	};
	static const char *const others[] = {
		"000000010000000A000000FF.ready",
		"000000010000000a000000ff",
		"000000010000000A000000F",
		"000000010000000A000000FF0",
		"00000002.history",
		"16384",
		"ibdata1",
		"t.ibd",
		"undo001",
		"main.db-wal",
		"main.db-shm",
		"main.db-journal",
		"000042.log",
		"WiredTiger.wt",
		"collection-0.wt",
		"data.mdb",
		"lock.mdb",
		"default",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++)
		assert_true(is_direct("direct_files = default", logs[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(is_direct("direct_files = default", others[i]));
}

static void direct_files_are_a_list_of_patterns(void **state)
{
	char longest[DIRECT_PATTERN_MAX + 1];

	(void)state;
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_true(is_direct("direct_files = *", longest));
	assert_true(is_direct("direct_files = *", ".hidden"));
	assert_true(is_direct("direct_files = default [ab]?.log  c*", "ib_logfile0"));
	assert_true(is_direct("direct_files = default [ab]?.log  c*", "b1.log"));
	assert_true(is_direct("direct_files = default [ab]?.log  c*", "c"));
	assert_false(is_direct("direct_files = default [ab]?.log  c*", "d1.log"));
	assert_true(is_direct("direct_files = a*\ndirect_files = b*", "a"));
	assert_true(is_direct("direct_files = a*\ndirect_files = b*", "b"));
	assert_false(is_direct("direct_files = a*", "ib_logfile0"));
	assert_false(is_direct("direct_files = none", "none"));
	assert_false(is_direct("", "16384"));
}

static void a_volume_has_direct_files_of_its_own(void **state)
{
	struct config *c = parse("[server]\nprotector = file:/k\ndirect_files = *.log\n"
				 "[volume a]\nbacking = /a\nmount = /m\n"
				 "[volume b]\nbacking = /b\nmount = /n\ndirect_files = none\n"
				 "[volume c]\nbacking = /c\nmount = /o\ndirect_files = *.wal\n");

	(void)state;
	assert_true(settings_is_direct(&c->volumes[0].settings, "x.log"));
	assert_false(settings_is_direct(&c->volumes[1].settings, "x.log"));
	assert_false(settings_is_direct(&c->volumes[2].settings, "x.log"));
	assert_true(settings_is_direct(&c->volumes[2].settings, "x.wal"));
	assert_string_equal(settings_direct_files(&c->volumes[0].settings), "*.log");
	config_free(c);
}

/* What a mounted volume takes over, and what it cannot: by name, and nothing that is the same. */
static void what_differs_is_named(void **state)
{
	static const char head[] = "[server]\nprotector = https://a.vault.azure.net/keys/k\n";
	static const char volume[] = "[volume v]\nbacking = /b\nmount = /m\n";
	static const struct {
		const char *a, *b, *live, *fixed;
	} cases[] = {
		{ "", "", "", "" },
		{ "", "threads = 16\n", "", "" },
		{ "", "probe_interval = 7s\nheal_window = 1m\n", "probe_interval, heal_window",
		  "" },
		{ "rotation_poll = 1m\n", "rotation_poll = 0\n", "rotation_poll", "" },
		{ "", "rotation_poll = 10m\n", "", "" },
		{ "log = /l\n", "", "", "log" },
		{ "log = /l\n", "log = /z\ncache = writeback\non_denied = read-only\n", "on_denied",
		  "cache, log" },
		{ "", "direct_files = default\n", "", "direct_files" },
		{ "", "[policy]\ncustomer_managed_key = deny\nminimum_rsa_bits = 3072\n",
		  "customer_managed_key, minimum_rsa_bits", "" },
		{ "", "[policy]\nrequire_key_backup = yes\n", "require_key_backup", "" },
		{ "", "[vault a.vault.azure.net]\nclient_id = c\n", "", "a [vault HOST] section" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_CONFIG struct config *a = NULL;
		CLEANUP_CONFIG struct config *b = NULL;
		struct config_changes changes;
		struct errmsg err = { 0 };
		char text[512];

		(void)snprintf(text, sizeof(text), "%s%s%s", head, cases[i].a, volume);
		assert_int_equal(config_parse("a", text, &a, &err), 0);
		(void)snprintf(text, sizeof(text), "%s%s%s", head, cases[i].b, volume);
		if (config_parse("b", text, &b, &err))
			fail_msg("%s", err.text);
		config_compare(a, &a->volumes[0], b, &b->volumes[0], &changes);
		assert_string_equal(changes.live, cases[i].live);
		assert_string_equal(changes.fixed, cases[i].fixed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_is_only_the_start_of_what_rotates_by_itself),
		cmocka_unit_test(what_differs_is_named),
		cmocka_unit_test(known_logs_are_direct_by_default_list),
		cmocka_unit_test(direct_files_are_a_list_of_patterns),
		cmocka_unit_test(a_volume_has_direct_files_of_its_own),
		cmocka_unit_test(volumes_inherit_and_override),
		cmocka_unit_test(server_may_come_last),
		cmocka_unit_test(mistakes_are_named_with_line_reason_and_next_step),
		cmocka_unit_test(linked_keys_may_stand_in_several_lines),
		cmocka_unit_test(neighbours_of_a_volume_are_not_in_it),
		cmocka_unit_test(vault_settings_are_read_and_inherited),
		cmocka_unit_test(a_vault_has_an_identity_of_its_own),
		cmocka_unit_test(only_named_vaults_are_allowed),
		cmocka_unit_test(a_secondary_goes_with_its_protector),
		cmocka_unit_test(a_hook_is_a_path_and_words),
		cmocka_unit_test(long_lines_are_refused_not_cut),
		cmocka_unit_test(unknown_volumes_list_the_known),
		cmocka_unit_test(path_comes_from_argument_then_environment),
		cmocka_unit_test(the_sample_is_valid),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
