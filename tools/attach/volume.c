// SPDX-License-Identifier: GPL-2.0-only
/* Finds the device that an argument means. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attach/volume.h"
#include "block/device-name.h"
#include "block/dm-uuid.h"
#include "base/exit.h"
#include "base/log.h"

/* @text: a path, GROUP/VOLUME, or a name. */
static int choose_path(const char *text, char *path, size_t path_bytes)
{
	int status = device_name_path(text, path, path_bytes);

	if (status || path[0])
		return status;
	snprintf(path, path_bytes, "%s", text);
	if (path_is_blockdev(path))
		return EXIT_OK;
	snprintf(path, path_bytes, "%s", dm_node_path(text));
	if (!path_is_blockdev(path))
		snprintf(path, path_bytes, "%s", text);
	return EXIT_OK;
}

int volume_refresh(struct volume *volume)
{
	int r;

	dm_table_free(&volume->table);
	r = dm_get_table(volume->name, false, &volume->table, &volume->dm);
	if (r && r != -ENODATA) {
		error_errno(r, "%s: cannot get its table", volume->name);
		return EXIT_ERROR;
	}
	if (makedev(volume->dm.major, volume->dm.minor) != volume->device.devt) {
		error("%s was renamed just now; try again", volume->name);
		return EXIT_REFUSED;
	}
	if (volume->table.nr_lines)
		volume->device.bytes = dm_table_sectors(&volume->table) << 9;
	return EXIT_OK;
}

int volume_find(const char *text, struct volume *volume)
{
	char path[PATH_MAX];
	int status;

	memset(volume, 0, sizeof(*volume));
	status = choose_path(text, path, sizeof(path));
	if (status)
		return status;
	if (!path_is_blockdev(path)) {
		if (access(path, F_OK))
			error("block device %s not found; give a path, VG/LV or the name of a mapped device",
			      text);
		else
			error("%s is not a block device; give a path, VG/LV or the name of a mapped device",
			      text);
		return EXIT_ERROR;
	}
	if (blockdev_open(path, &volume->device))
		return EXIT_ERROR;
	volume->is_mapped = blockdev_read_attribute(volume->device.devt,
						    "dm/name", path,
						    sizeof(path));
	if (!volume->is_mapped)
		return EXIT_OK;
	if (!dm_name_of(major(volume->device.devt),
			minor(volume->device.devt), volume->name)) {
		error("%s: cannot find its mapped device", text);
		return EXIT_ERROR;
	}
	dm_pin(volume->name);
	return volume_refresh(volume);
}

void volume_free(struct volume *volume)
{
	dm_table_free(&volume->table);
}

const char *volume_number(const struct volume *volume, char number[32])
{
	snprintf(number, 32, "%u:%u", major(volume->device.devt),
		 minor(volume->device.devt));
	return number;
}

/* The device that a device of ours is a plain mapping of. */
static bool find_restored(const struct volume *volume, struct blockdev *below)
{
	const struct dm_table *table = &volume->table;
	unsigned int major, minor;
	char number[32], path[PATH_MAX];
	uint64_t start;

	if (!volume->is_mapped || table->nr_lines != 1 ||
	    !dm_uuid_is_ours(volume->dm.uuid) ||
	    strcmp(table->lines[0].target, "linear") ||
	    sscanf(table->lines[0].params, "%u:%u %" SCNu64, &major, &minor,
		   &start) != 3)
		return false;
	snprintf(number, sizeof(number), "%u:%u", major, minor);
	return !blockdev_open(blockdev_path_of(number, path, sizeof(path)),
			      below) &&
	       !start && below->bytes == volume->device.bytes;
}

const char *volume_identity(const struct volume *volume, char *text,
			    size_t text_bytes)
{
	struct blockdev below;

	return blockdev_identity(find_restored(volume, &below) ? &below :
				 &volume->device, text, text_bytes);
}

bool volume_is_cbw(const struct volume *volume, struct cbw_table *cbw)
{
	return volume->table.nr_lines == 1 &&
	       !strcmp(volume->table.lines[0].target, CBW_TARGET) &&
	       !cbw_table_parse(volume->table.lines[0].params, cbw);
}
