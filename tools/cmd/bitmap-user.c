// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive bitmap`: which target has a store in use. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmd/bitmap.h"
#include "block/blockdev.h"
#include "block/dm.h"
#include "lines/cbw-table.h"
#include "base/log.h"
#include "qcow2-format.h"
#include "restore/metadata.h"

int bitmap_read_table(const char *name, char meta[STATUS_WORD_BYTES])
{
	struct dm_line line = { 0 };
	struct cbw_table table;
	int r;

	r = dm_get_line(name, DM_LINE_TABLE, &line, NULL);
	if (!r)
		r = !strcmp(line.target, CBW_TARGET) &&
		    !cbw_table_parse(line.params, &table);
	if (r == 1)
		snprintf(meta, STATUS_WORD_BYTES, "%s", table.meta);
	dm_line_free(&line);
	return r == -ENXIO || r == -ENODATA ? 0 : r;
}

struct search {
	char number[32];
	char *name;
	size_t name_bytes;
};

static int is_user(const char *name, void *argument)
{
	struct search *search = argument;
	char meta[STATUS_WORD_BYTES];

	if (bitmap_read_table(name, meta) != 1 ||
	    strcmp(meta, search->number))
		return 0;
	snprintf(search->name, search->name_bytes, "%s", name);
	return 1;
}

/* Without device mapper nothing uses it. */
static bool has_device_mapper(void)
{
	return !access("/dev/mapper/control", R_OK | W_OK);
}

int bitmap_find_user(const char *path, char *name, size_t name_bytes)
{
	struct search search = {
		.name = name,
		.name_bytes = name_bytes,
	};
	struct blockdev device;
	int r;

	if (!has_device_mapper())
		return 0;
	r = blockdev_open(path, &device);
	if (r)
		return r;
	snprintf(search.number, sizeof(search.number), "%u:%u",
		 major(device.devt), minor(device.devt));
	return dm_for_each(is_user, &search);
}

int bitmap_is_online(const char *store, char *name, size_t name_bytes)
{
	struct stat stat_of;
	char meta[STATUS_WORD_BYTES];

	if (!has_device_mapper())
		return 0;
	if (!stat(store, &stat_of)) {
		if (!S_ISBLK(stat_of.st_mode) ||
		    !blockdev_read_attribute(stat_of.st_rdev, "dm/name", name,
					     name_bytes))
			return 0;
	} else {
		if (strchr(store, '/') || strlen(store) >= name_bytes)
			return 0;
		snprintf(name, name_bytes, "%s", store);
	}
	return bitmap_read_table(name, meta);
}

void bitmap_warn_online(const char *name)
{
	warning("%s is in use: bits of the last seconds may be missing; %s covers their regions",
		name, QCOW2_DMLIVE_INTENT_NAME);
}

int bitmap_warn_if_online(const char *path)
{
	char name[DM_NAME_BYTES] = "";
	int r = bitmap_find_user(path, name, sizeof(name));

	if (r > 0)
		bitmap_warn_online(name);
	if (r || !has_device_mapper())
		return r;
	/* The store of a restore has no intent bitmap. */
	r = metadata_find_user(path, name);
	if (r || !name[0])
		return r;
	warning("%s is in use: bits of the last seconds may be missing", name);
	return 1;
}
