/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault firewall: list, on, off, allow, remove. What it means is firewall.c's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "identity.h"

#define USAGE "firewall: list, on, off, allow ADDRESS[/BITS], or remove ADDRESS[/BITS]"

static int switch_on(struct call *call, struct local *local, void *arg)
{
	(void)call, (void)arg;
	return db_meta_set_number(local->db, "firewall", 1);
}

static int switch_off(struct call *call, struct local *local, void *arg)
{
	(void)call, (void)arg;
	return db_meta_set_number(local->db, "firewall", 0);
}

static int allow(struct call *call, struct local *local, void *arg)
{
	const char *address = arg;
	uint8_t bytes[16];
	unsigned bits;
	int r;

	if (firewall_parse(address, bytes, &bits) < 0) {
		errmsg_next(&call->err, "give an address or a network, such as 192.0.2.0/24");
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s: no address",
				   address);
	}
	r = db_run(local->db, "INSERT OR IGNORE INTO firewall(address) VALUES(?)", "s", address);
	return r < 0 ? r : 0;
}

static int remove_address(struct call *call, struct local *local, void *arg)
{
	const char *address = arg;
	int r = db_run(local->db, "DELETE FROM firewall WHERE address = ?", "s", address);

	if (r != 0)
		return r < 0 ? r : 0;
	errmsg_next(&call->err, "see " PROGRAM " firewall list --data %s", call->data);
	return errmsg_fail(&call->err, -ENOENT, EXIT_CODE_FAILED, "%s: not in the list", address);
}

static const struct command {
	const char *name;
	int nargs;
	local_change change;
} commands[] = {
	{ "on", 0, switch_on },
	{ "off", 0, switch_off },
	{ "allow", 1, allow },
	{ "remove", 1, remove_address },
};

static int list(struct call *call, struct local *local)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	CLEANUP_JSON json_t *all = json_array();
	int64_t on = 0;
	const json_t *item;
	size_t i;
	int r = db_meta_number(local->db, "firewall", &on);

	if (r == 0 || r == -ENOENT)
		r = db_prepare(local->db, &stmt, "SELECT address FROM firewall ORDER BY address",
			       "");
	while (r >= 0 && (r = db_step(stmt)) == 1)
		(void)json_array_append_new(all, json_string(db_text(stmt, 0)));
	if (r < 0)
		return call_errno(call, r, "firewall list");
	if (call->json)
		return print_json(json_pack("{s:b, s:O}", "on", on != 0, "allowed", all),
				  EXIT_CODE_DONE);
	printf("firewall %s\n", on ? "on: only these may call" : "off: everybody may call");
	json_array_foreach(all, i, item) printf("  %s\n", json_string_value(item));
	return EXIT_CODE_DONE;
}

static int change(struct call *call, struct local *local)
{
	char operation[32];

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char *address = commands[i].nargs ? call->args[1] : NULL;
		int r;

		if (strcmp(commands[i].name, call->args[0]) != 0 ||
		    call->nargs - 1 != commands[i].nargs)
			continue;
		(void)snprintf(operation, sizeof(operation), "firewall %s", commands[i].name);
		r = local_commit(call, local, operation, address ? address : "", commands[i].change,
				 address);
		return r < 0 ? call_errno(call, r, "firewall") : call_done(call);
	}
	return usage_error(call, USAGE);
}

int verb_firewall(struct call *call)
{
	struct local local;
	int code;

	if (local_open(call, false, &local) < 0)
		return call_failed(call);
	code = strcmp(call->args[0], "list") == 0 ? list(call, &local) : change(call, &local);
	local_close(&local);
	return code;
}
