// SPDX-License-Identifier: GPL-2.0-only
/* Which file a loop device is on, by sysfs; see loop.h. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "block/loop.h"

/* Is @file the backing file of the loop device @name? */
static bool is_on(const char *name, const struct stat *file)
{
	char path[PATH_MAX];
	struct stat stat_of;
	FILE *attribute;
	bool found;

	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	attribute = fopen(path, "re");
	if (!attribute)
		return false;
	found = fgets(path, sizeof(path), attribute);
	fclose(attribute);
	if (!found)
		return false;
	path[strcspn(path, "\n")] = 0;
	return !stat(path, &stat_of) && stat_of.st_dev == file->st_dev &&
	       stat_of.st_ino == file->st_ino;
}

bool loop_find(const struct stat *stat, char *node, size_t node_bytes)
{
	DIR *folder = opendir("/sys/block");
	struct dirent *entry;
	bool found = false;

	while (folder && !found && (entry = readdir(folder))) {
		if (strncmp(entry->d_name, "loop", 4))
			continue;
		found = is_on(entry->d_name, stat);
		if (found)
			snprintf(node, node_bytes, "/dev/%.50s", entry->d_name);
	}
	if (folder)
		closedir(folder);
	return found;
}

int loop_check_unused(const char *path, const struct stat *stat)
{
	char loop[64];

	if (!loop_find(stat, loop, sizeof(loop)))
		return 0;
	error("%s is in use by the loop device %s: give that device, or detach it first (losetup -d %s)",
	      path, loop, loop);
	return -EBUSY;
}
