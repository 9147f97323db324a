// SPDX-License-Identifier: GPL-2.0-only
/* Which tables can be moved in use, see movable.h. */
#include <stdio.h>
#include <string.h>

#include "attach/movable.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/process.h"
#include "base/words.h"
#include "block/dm-uuid.h"

struct rule {
	const char *target;
	enum movable how;
	/* NULL: always. An exit status, after a message. */
	int (*check)(const struct volume *volume, const char *params);
	bool may_be_left;
};

static int refuse(const struct volume *volume, const char *target,
		  const char *reason)
{
	if (!strcmp(target, "alloctrack"))
		error("%s is being restored; wait until that has completed: dmlive status %s",
		      volume->name, volume->name);
	else
		error("%s has the target %s, which cannot be moved in use: %s. While it is not in use, a new device can be made over it: --name NAME",
		      volume->name, target, reason);
	return EXIT_REFUSED;
}

/*
 * The status of a table of one line, which is the one that is checked: an exit status,
 * after a message.
 */
static int get_status(const struct volume *volume, struct dm_line *status)
{
	if (!dm_get_line(volume->name, DM_LINE_STATUS, status, NULL))
		return EXIT_OK;
	return refuse(volume, volume->table.lines[0].target,
		      "its status cannot be read");
}

/* TYPE NR_DEVICES HEALTH IN_SYNC/SECTORS ACTION ... */
static int check_raid(const struct volume *volume, const char *params)
{
	char health[256], action[32];
	struct dm_line status;
	int nr_found;

	/* They would begin again when the table is loaded. */
	if (has_word(params, "rebuild") || has_word(params, "sync") ||
	    has_word(params, "delta_disks"))
		return refuse(volume, "raid",
			      "its table orders a synchronization, a rebuild or a reshape; when that has completed, load one without it, for a logical volume with lvchange --refresh");
	if (get_status(volume, &status))
		return EXIT_REFUSED;
	nr_found = sscanf(status.params, "%*s %*s %255s %*s %31s", health,
			  action);
	dm_line_free(&status);
	if (nr_found != 2 || strspn(health, "A") != strlen(health))
		return refuse(volume, "raid",
			      "not all of its devices are in sync; wait until they are, or repair it first");
	if (strcmp(action, "idle"))
		return refuse(volume, "raid",
			      "it is being synchronized, checked or reshaped; wait until that has completed");
	return EXIT_OK;
}

/* NR_LEGS DEVICE... IN_SYNC/REGIONS 1 HEALTH LOG... */
static bool are_legs_healthy(const char *status)
{
	const char *at = status;
	unsigned int nr_legs, i;

	if (sscanf(at, "%u", &nr_legs) != 1)
		return false;
	for (i = 0; i < nr_legs + 3; i++) {
		at = strchr(at, ' ');
		if (!at++)
			return false;
	}
	return strspn(at, "A") == nr_legs;
}

static int check_mirror(const struct volume *volume, const char *params)
{
	struct dm_line status;
	bool healthy;

	if (has_word(params, "handle_errors") && !has_word(params, "keep_log"))
		return refuse(volume, "mirror",
			      "when a leg fails, it holds all writes until dmeventd has given it another table, and dmeventd does not watch inner devices; convert it with lvconvert --type raid1");
	if (get_status(volume, &status))
		return EXIT_REFUSED;
	healthy = are_legs_healthy(status.params);
	dm_line_free(&status);
	return healthy ? EXIT_OK :
			 refuse(volume, "mirror",
				"one of its legs has failed; repair it first");
}

/* The constructor of a second cache may run before the first one has saved its state. */
static int check_not_lvm(const struct volume *volume, const char *target)
{
	if (!dm_uuid_is_lv(volume->dm.uuid))
		return EXIT_OK;
	return refuse(volume, target,
		      "an lvm2 command that reloads it while cbw is inserted would start a second cache on the same metadata, and data would be lost; separate the cache first: lvconvert --splitcache or --uncache");
}

static int check_cache(const struct volume *volume, const char *params)
{
	struct dm_line status;
	bool failed;

	(void)params;
	if (check_not_lvm(volume, "cache") || get_status(volume, &status))
		return EXIT_REFUSED;
	failed = has_word(status.params, "Fail") ||
		 has_word(status.params, "ro") ||
		 has_word(status.params, "needs_check");
	dm_line_free(&status);
	return failed ? refuse(volume, "cache",
			       "its metadata cannot be written; repair it first") :
			EXIT_OK;
}

static int check_writecache(const struct volume *volume, const char *params)
{
	struct dm_line status;
	bool failed;

	if (check_not_lvm(volume, "writecache"))
		return EXIT_REFUSED;
	if (strncmp(params, "s ", 2))
		return refuse(volume, "writecache",
			      "its cache is persistent memory, which must not be mapped twice");
	if (get_status(volume, &status))
		return EXIT_REFUSED;
	failed = strncmp(status.params, "0 ", 2);
	dm_line_free(&status);
	return failed ? refuse(volume, "writecache", "its cache has failed") :
			EXIT_OK;
}

static const struct rule rules[] = {
	{ "linear",	MOVABLE_SHARED, NULL, true },
	{ "striped",	MOVABLE_SHARED, NULL, true },
	{ "unstriped",	MOVABLE_SHARED, NULL, true },
	{ "zero",	MOVABLE_SHARED, NULL, true },
	{ "error",	MOVABLE_SHARED, NULL, true },
	{ "delay",	MOVABLE_SHARED, NULL, true },
	{ "flakey",	MOVABLE_SHARED, NULL, true },
	{ "crypt",	MOVABLE_SHARED, NULL, false },
	{ "thin",	MOVABLE_SHARED, NULL, false },
	{ "cache",	MOVABLE_LOADED_EARLY, check_cache, false },
	{ "writecache",	MOVABLE_LOADED_EARLY, check_writecache, false },
	{ "mirror",	MOVABLE_LOADED_EARLY, check_mirror, false },
	{ "raid",	MOVABLE_LOADED_LATE, check_raid, false },
};

/* Why the others stay where they are. */
static const struct refusal {
	const char *target;
	const char *reason;
} refusals[] = {
	{ "snapshot-origin",
	  "its snapshots would miss what is written through another device"
	},
	{ "snapshot",
	  "it keeps its exceptions in memory, and so would a second one"
	},
	{ "snapshot-merge",
	  "it is being merged; wait until that has completed"
	},
	{ "thin-pool",
	  "it is the pool of thin volumes; attach these"
	},
	{ "multipath",
	  "multipathd watches and changes it; attach the devices that lie on it"
	},
	{ "integrity",
	  "it keeps its journal in memory, and so would a second one; attach a device that lies on it"
	},
};

static const struct rule *find_rule(const char *target)
{
	unsigned int i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (!strcmp(target, rules[i].target))
			return &rules[i];
	return NULL;
}

static const char *find_refusal(const char *target)
{
	unsigned int i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (!strcmp(target, refusals[i].target))
			return refusals[i].reason;
	return "dmlive does not know whether it may be active twice";
}

static int check_line(const struct volume *volume,
		      const struct dm_table_line *line)
{
	const struct rule *rule = find_rule(line->target);

	if (!rule)
		return refuse(volume, line->target, find_refusal(line->target));
	if (rule->how != MOVABLE_SHARED && volume->table.nr_lines > 1)
		return refuse(volume, line->target,
			      "it is only a part of the table");
	return rule->check ? rule->check(volume, line->params) : EXIT_OK;
}

int movable_check(const struct volume *volume, enum movable *how)
{
	const struct dm_table *table = &volume->table;
	unsigned int i;
	int status = EXIT_OK;

	for (i = 0; !status && i < table->nr_lines; i++)
		status = check_line(volume, &table->lines[i]);
	*how = movable_how(table);
	return status;
}

enum movable movable_how(const struct dm_table *table)
{
	const struct rule *rule = find_rule(table->lines[0].target);

	return rule ? rule->how : MOVABLE_SHARED;
}

bool movable_may_be_left(const struct dm_table *table)
{
	const struct rule *rule;
	unsigned int i;

	for (i = 0; i < table->nr_lines; i++) {
		rule = find_rule(table->lines[i].target);
		if (!rule || !rule->may_be_left)
			return false;
	}
	return true;
}

void movable_hide_keys(const struct dm_table *table)
{
	unsigned int i;

	for (i = 0; i < table->nr_lines; i++) {
		if (strcmp(table->lines[i].target, "crypt"))
			continue;
		/* The guard process locks its own memory. */
		process_lock_memory();
		return;
	}
}

/* CIPHER :BYTES:TYPE:NAME ... */
static bool has_key_in_keyring(const struct dm_table_line *line)
{
	const char *key = strchr(line->params, ' ');

	return !strcmp(line->target, "crypt") && key && key[1] == ':';
}

void movable_explain(const struct dm_table *table, const char *name)
{
	unsigned int i;

	for (i = 0; i < table->nr_lines; i++) {
		if (!has_key_in_keyring(&table->lines[i]))
			continue;
		error("%s: its key is in a keyring, and the kernel only gives it a table again if that has the key and this process may search it; cryptsetup takes it out when it has opened a volume. To have the key in the table instead: cryptsetup refresh --disable-keyring %s",
		      name, name);
		return;
	}
}
