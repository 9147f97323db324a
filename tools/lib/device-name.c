// SPDX-License-Identifier: GPL-2.0-only
/* Which mapped device a user means, see device-name.h. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lib/blockdev.h"
#include "lib/device-name.h"
#include "lib/exit.h"
#include "lib/log.h"

bool device_name_path(const char *given, char *path, size_t path_bytes)
{
	if (!strchr(given, '/'))
		return false;
	snprintf(path, path_bytes, "/dev/%s", given);
	if (*given == '/' || path_is_blockdev(given) || !path_is_blockdev(path))
		snprintf(path, path_bytes, "%s", given);
	return true;
}

int device_name_find(const char *given, char name[DM_NAME_BYTES])
{
	char path[PATH_MAX];
	struct blockdev device;

	if (!device_name_path(given, path, sizeof(path))) {
		if (!dm_name_is_valid(given))
			return EXIT_USAGE;
		snprintf(name, DM_NAME_BYTES, "%s", given);
		dm_pin(name);
		return EXIT_OK;
	}
	if (blockdev_open(path, &device))
		return EXIT_ERROR;
	if (dm_name_of(major(device.devt), minor(device.devt), name)) {
		dm_pin(name);
		return EXIT_OK;
	}
	error("%s is no mapped device", given);
	return EXIT_REFUSED;
}
