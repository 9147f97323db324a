// SPDX-License-Identifier: GPL-2.0-only
/* The devices of a restore that tracks changes, see stack.h. */
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

/* Is there an inner device, but no cbw device over it? */
static bool is_alone(const char *name, struct inner *inner)
{
	inner_make_uuid(name, inner->uuid);
	return dm_name_of_uuid(inner->uuid, inner->name) &&
	       dm_runs_target(inner->name, "alloctrack");
}

/* Is @name a cbw device over an inner device? */
static bool find_below(const char *name, struct inner *inner, int *r)
{
	struct dm_line line = { 0 };
	struct cbw_table cbw;
	bool found;

	*r = dm_get_line(name, DM_LINE_TABLE, &line, NULL);
	found = !*r && line.nr_lines == 1 && !strcmp(line.target, CBW_TARGET) &&
		!cbw_table_parse(line.params, &cbw) &&
		inner_of_table(&cbw, inner);
	dm_line_free(&line);
	return found;
}

const char *stack_restored(const char *name, char inner_name[DM_NAME_BYTES])
{
	struct inner inner = { 0 };
	int r;

	if (!find_below(name, &inner, &r) &&
	    !((r == -ENXIO || r == -ENODATA) && is_alone(name, &inner)))
		return name;
	snprintf(inner_name, DM_NAME_BYTES, "%s", inner.name);
	return inner_name;
}

struct search {
	const char *inner;
	char *name;
};

static int is_upper(const char *name, void *argument)
{
	struct search *search = argument;
	struct inner inner;
	int ignored;

	if (!find_below(name, &inner, &ignored) ||
	    strcmp(inner.name, search->inner))
		return 0;
	snprintf(search->name, DM_NAME_BYTES, "%s", name);
	return 1;
}

bool stack_find_upper(const char *inner, char name[DM_NAME_BYTES])
{
	struct search search = { .inner = inner, .name = name };

	return dm_for_each(is_upper, &search) > 0;
}

bool stack_is_record_of(const struct restore_options *options,
			const char *uuid)
{
	/* options->uuid is that of the device over it. */
	if (options->outer)
		return dm_uuid_is_inner(uuid);
	return !strcmp(options->uuid, uuid);
}
