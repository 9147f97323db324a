// SPDX-License-Identifier: GPL-2.0-only
/* What depends on nothing but the name and the number of a volume. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/stacking.h"

const char *volume_called(const struct volume *volume)
{
	static char text[2 * DM_NAME_BYTES + 16];
	const char *now = dm_name_now(volume->name);

	if (!strcmp(now, volume->name))
		return volume->name;
	snprintf(text, sizeof(text), "%s (called %s now)", volume->name, now);
	return text;
}

void volume_set_old_data(struct volume *volume, const char *text, dev_t devt)
{
	snprintf(volume->old_data, sizeof(volume->old_data), "%s", text);
	snprintf(volume->old_data_number, sizeof(volume->old_data_number),
		 "%u:%u", major(devt), minor(devt));
}

bool volumes_hold(const struct volume *volumes, unsigned int nr,
		  const char *path, const char *what)
{
	const struct volume *volume;

	for (volume = volumes; volume < volumes + nr; volume++) {
		if (!file_is_above(path, volume->devt))
			continue;
		error("%s is, or lies on, %s, which is to be backed up; name another place",
		      what, volume->name);
		return true;
	}
	return false;
}

int volumes_check_device(const struct volume *volumes, unsigned int nr,
			 const char *path, bool force, struct blockdev *device,
			 int (*find)(const struct blockdev *device, char *what,
				     size_t what_bytes))
{
	char what[256];
	int r;

	if (blockdev_open(path, device))
		return EXIT_ERROR;
	if (device->read_only) {
		error("%s is read-only; name another device", path);
		return EXIT_REFUSED;
	}
	if (volumes_hold(volumes, nr, path, path) ||
	    blockdev_check_unused(device))
		return EXIT_REFUSED;
	r = find(device, what, sizeof(what));
	if (r == -EEXIST && !force) {
		error("%s holds a %s; to overwrite it use --force", path, what);
		return EXIT_REFUSED;
	}
	return r && r != -EEXIST ? EXIT_ERROR : EXIT_OK;
}
