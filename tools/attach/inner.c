// SPDX-License-Identifier: GPL-2.0-only
/* The inner device of a live insertion. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attach/hand-over.h"
#include "attach/inner.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/dm-uuid.h"

/* Names and UUIDs are made from it, with something added. */
#define MAX_NAME_LENGTH	110

void inner_make_uuid(const char *name, char uuid[DM_UUID_BYTES])
{
	snprintf(uuid, DM_UUID_BYTES, "%s%.*s", DM_UUID_INNER_PREFIX,
		 MAX_NAME_LENGTH, name);
}

static void make_uuid(const struct volume *volume, struct inner *inner)
{
	const char *uuid = volume->dm.uuid;

	if (strlen(uuid) == DM_UUID_LV_LENGTH && dm_uuid_is_lv(uuid))
		snprintf(inner->uuid, sizeof(inner->uuid), "%.100s%s", uuid,
			 DM_UUID_INNER_SUFFIX);
	else
		inner_make_uuid(volume->name, inner->uuid);
}

int inner_find(const struct volume *volume, struct inner *inner)
{
	memset(inner, 0, sizeof(*inner));
	if (strlen(volume->name) > MAX_NAME_LENGTH) {
		error("%s: its name has %zu characters, and the inner device, whose name is that and %s, allows %d; rename it, or attach it with --name NAME",
		      volume->name, strlen(volume->name), INNER_SUFFIX,
		      MAX_NAME_LENGTH);
		return EXIT_REFUSED;
	}
	snprintf(inner->name, sizeof(inner->name), "%.*s%s", MAX_NAME_LENGTH,
		 volume->name, INNER_SUFFIX);
	make_uuid(volume, inner);
	/* The volume may have been renamed since, and the inner device not. */
	inner->exists = dm_name_of_uuid(inner->uuid, inner->name);
	if (inner->exists)
		dm_pin(inner->name);
	if (inner->exists || dm_get_device(inner->name, NULL) == -ENXIO)
		return EXIT_OK;
	error("the mapped device %s is not the inner device of %s, but has its name; rename it: dmsetup rename",
	      inner->name, volume->name);
	return EXIT_REFUSED;
}

bool inner_of_table(const struct cbw_table *cbw, struct inner *inner)
{
	unsigned int major, minor;

	memset(inner, 0, sizeof(*inner));
	if (sscanf(cbw->origin, "%u:%u", &major, &minor) != 2 ||
	    !dm_name_of(major, minor, inner->name) ||
	    dm_get_device(inner->name, &inner->dm) ||
	    !dm_uuid_is_inner(inner->dm.uuid))
		return false;
	dm_pin(inner->name);
	snprintf(inner->uuid, sizeof(inner->uuid), "%s", inner->dm.uuid);
	inner->exists = true;
	return true;
}

bool inner_is(const struct volume *volume)
{
	return volume->is_mapped && dm_uuid_is_inner(volume->dm.uuid);
}

static int load(const struct volume *volume, enum movable how,
		const struct inner *inner)
{
	int r = 0;

	if (how != MOVABLE_SHARED)
		r = hand_over_load_placeholder(inner, &volume->table) ?:
		    dm_resume_private(inner->name);
	if (!r && how != MOVABLE_LOADED_LATE)
		r = dm_load_table(inner->name, &volume->table,
				  volume->dm.read_only);
	if (!r && how == MOVABLE_SHARED)
		r = dm_resume_private(inner->name);
	return r;
}

int inner_make(const struct volume *volume, enum movable how,
	       struct inner *inner)
{
	if (dm_create_empty(inner->name, inner->uuid))
		return EXIT_ERROR;
	inner->exists = true;
	if (load(volume, how, inner) ||
	    dm_get_device(inner->name, &inner->dm)) {
		movable_explain(&volume->table, volume->name);
		dm_remove(inner->name);
		inner->exists = false;
		return EXIT_ERROR;
	}
	dm_pin(inner->name);
	return EXIT_OK;
}

/* Is the inactive table of @volume a cbw table over its inner device? */
static bool has_loaded_ours(const struct volume *volume,
			    const struct inner *inner)
{
	struct volume loaded = { 0 };
	struct inner origin;
	struct cbw_table cbw;
	bool ours;

	ours = !dm_get_table(volume->name, true, &loaded.table, NULL) &&
	       volume_is_cbw(&loaded, &cbw) && inner_of_table(&cbw, &origin) &&
	       !strcmp(origin.uuid, inner->uuid);
	dm_table_free(&loaded.table);
	return ours;
}

int inner_clean(struct volume *volume, struct inner *inner, bool *found)
{
	*found = false;
	if (volume->dm.has_inactive_table) {
		if (!has_loaded_ours(volume, inner)) {
			error("%s has an inactive table: someone else is changing it; if not: dmsetup clear %s",
			      volume->name, volume->name);
			return EXIT_REFUSED;
		}
		*found = true;
		if (dm_clear(volume->name))
			return EXIT_ERROR;
		volume->dm.has_inactive_table = false;
	}
	if (!inner->exists)
		return EXIT_OK;
	*found = true;
	if (dm_remove(inner->name))
		return EXIT_ERROR;
	inner->exists = false;
	return EXIT_OK;
}
