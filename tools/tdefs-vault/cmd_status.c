/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault status: what there is, when certificates end, and what is risky. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tdefs/config.h"

#include "cert.h"
#include "cli.h"
#include "fault.h"

#define DAY INT64_C(86400)

static void warn(json_t *warnings, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void warn(json_t *warnings, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)json_array_append_new(warnings, json_vsprintf(fmt, args));
	va_end(args);
}

/* Who takes one disk must not get lock and key: the vault beside the data it protects. */
static void check_volumes(struct call *call, dev_t vault_disk, json_t *warnings)
{
	CLEANUP_CONFIG struct config *config = NULL;
	struct errmsg ignored = { 0 };
	struct stat st;

	if (!call->config && !getenv(CONFIG_ENVIRONMENT) && access(CONFIG_DEFAULT_PATH, R_OK) < 0)
		return;
	if (config_load(call->config, &config, &ignored) < 0) {
		warn(warnings, "tdefs.conf cannot be read, so nothing is known of its volumes: %s",
		     ignored.text);
		return;
	}
	for (size_t i = 0; i < config->nvolumes; i++)
		if (stat(config->volumes[i].backing, &st) == 0 && st.st_dev == vault_disk)
			warn(warnings,
			     "volume %s and this vault share a disk: whoever takes it has both "
			     "(move %s to another)",
			     config->volumes[i].name, call->data);
}

static void check_master(struct call *call, dev_t vault_disk, json_t *warnings)
{
	const char *path = call->master.passphrase_path ? call->master.passphrase_path
							: master_path(&call->master);
	struct stat st;

	if (stat(path, &st) == 0 && st.st_dev == vault_disk)
		warn(warnings,
		     "the master key %s and the vault share a disk: whoever takes it opens %s",
		     path, call->data);
}

static void check_dates(int64_t now, int64_t ca, int64_t server, json_t *warnings)
{
	if (server && server - now < 20 * DAY)
		warn(warnings,
		     "the server certificate was not renewed in time: is the server running?");
	if (ca && ca - now < 180 * DAY)
		warn(warnings,
		     "the authority's certificate ends soon: give clients the new " CA_FILE);
}

static void check_faults(sqlite3 *db, json_t *warnings)
{
	int64_t count = 0;

	if (fault_count(db, &count) == 0 && count > 0)
		warn(warnings, "FAULTS FOR TESTS are set: this vault is not served without "
			       "--allow-test-faults");
}

static json_t *find_warnings(struct call *call, struct local *local, int64_t now)
{
	json_t *warnings = json_array();
	int64_t ca, server;
	struct stat st;

	if (fstat(local->vault.dirfd, &st) == 0) {
		check_volumes(call, st.st_dev, warnings);
		check_master(call, st.st_dev, warnings);
	}
	cert_expiry(local->db, &ca, &server);
	check_dates(now, ca, server, warnings);
	check_faults(local->db, warnings);
	if (!local->vault.purge_protection)
		warn(warnings, "purge protection is off: a deleted key can be destroyed at once, "
			       "and the data with it");
	return warnings;
}

static json_int_t count(sqlite3 *db, const char *sql)
{
	int64_t n = 0;

	IGNORE_RESULT(db_number(db, &n, sql, ""), "shown as 0");
	return (json_int_t)n;
}

static bool is_running(const struct vault *v)
{
	int fd, r = vault_lock(v, &fd);

	if (r == 0)
		close(fd);
	return r == -EBUSY;
}

static json_t *date(int64_t when)
{
	char text[32] = "";
	time_t t = (time_t)when;
	struct tm tm;

	if (when && gmtime_r(&t, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static json_t *collect(struct call *call, struct local *local)
{
	const struct vault *v = &local->vault;
	int64_t now = vault_now(v, local->db), ca, server, firewall = 0;

	cert_expiry(local->db, &ca, &server);
	IGNORE_RESULT(db_meta_number(local->db, "firewall", &firewall), "off when unset");
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:I, s:b, s:I, s:I, s:I, s:o, s:o, s:o}",
			 "name", v->name, "tenant", v->tenant, "url", v->url, "running",
			 is_running(v), "purge_protection", v->purge_protection, "retention_days",
			 (json_int_t)v->retention_days, "firewall", firewall != 0, "keys",
			 count(local->db, "SELECT count(*) FROM keys WHERE deleted IS NULL"),
			 "deleted_keys",
			 count(local->db, "SELECT count(*) FROM keys WHERE deleted IS NOT NULL"),
			 "identities", count(local->db, "SELECT count(*) FROM identities"),
			 "ca_expires", date(ca), "certificate_expires", date(server), "warnings",
			 find_warnings(call, local, now));
}

static void print_status(const json_t *status)
{
	const char *name;
	const json_t *value;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)status, name, value)
	{
		if (json_is_string(value))
			printf("%-20s %s\n", name, json_string_value(value));
		else if (json_is_boolean(value))
			printf("%-20s %s\n", name, json_is_true(value) ? "yes" : "no");
		else if (json_is_integer(value))
			printf("%-20s %lld\n", name, (long long)json_integer_value(value));
	}
	json_array_foreach(json_object_get(status, "warnings"), i, value)
		printf("warning: %s\n", json_string_value(value));
}

int verb_status(struct call *call)
{
	struct local local;
	json_t *status;

	if (local_open(call, false, &local) < 0)
		return call_failed(call);
	status = collect(call, &local);
	local_close(&local);
	if (call->json || !status)
		return print_json(status, EXIT_CODE_DONE);
	print_status(status);
	json_decref(status);
	return EXIT_CODE_DONE;
}
