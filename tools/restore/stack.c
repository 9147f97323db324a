// SPDX-License-Identifier: GPL-2.0-only
/* The devices of a restore with tracking, see stack.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "restore/stack.h"

int stack_plan(const char *name, struct inner *inner)
{
	struct volume volume = { .is_mapped = true };

	snprintf(volume.name, sizeof(volume.name), "%s", name);
	return inner_find(&volume, inner);
}

/* The cbw device was not made yet, or was removed by itself. */
static bool is_alone(const char *name, struct inner *inner)
{
	struct dm_line line = { 0 };
	bool found;

	inner_make_uuid(name, inner->uuid);
	found = dm_name_of_uuid(inner->uuid, inner->name) &&
		!dm_get_line(inner->name, DM_LINE_TABLE, &line, NULL) &&
		!strcmp(line.target, "alloctrack");
	dm_line_free(&line);
	return found;
}

const char *stack_restored(const char *name, char inner_name[DM_NAME_BYTES])
{
	struct dm_line line = { 0 };
	struct inner inner = { 0 };
	struct cbw_table cbw;
	bool found;
	int r;

	r = dm_get_line(name, DM_LINE_TABLE, &line, NULL);
	if (r)
		found = (r == -ENXIO || r == -ENODATA) &&
			is_alone(name, &inner);
	else
		found = line.nr_lines == 1 &&
			!strcmp(line.target, CBW_TARGET) &&
			!cbw_table_parse(line.params, &cbw) &&
			inner_of_table(&cbw, &inner);
	dm_line_free(&line);
	if (!found)
		return name;
	snprintf(inner_name, DM_NAME_BYTES, "%s", inner.name);
	return inner_name;
}

bool stack_is_record_of(const struct restore_options *options,
			const char *uuid)
{
	char inner[INNER_UUID_BYTES];

	if (!options->outer)
		return !strcmp(options->uuid, uuid);
	inner_make_uuid(options->outer, inner);
	return !strcmp(inner, uuid);
}
