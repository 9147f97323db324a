// SPDX-License-Identifier: GPL-2.0-only
/* Which file a loop device is on, by sysfs; see loop.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "block/loop.h"
#include "block/sysfs.h"

/* Is @file the backing file whose name is in @attribute? */
static bool is_on(const char *attribute, const struct stat *file)
{
	char path[PATH_MAX];
	struct stat stat_of;

	return sysfs_read(path, sizeof(path), "%s", attribute) &&
	       !stat(path, &stat_of) && stat_of.st_dev == file->st_dev &&
	       stat_of.st_ino == file->st_ino;
}

bool loop_find(const struct stat *stat, char *node, size_t node_bytes)
{
	bool found = false;
	char name[51];
	glob_t list;
	size_t i;

	sysfs_list(&list, "/sys/block/loop*/loop/backing_file");
	for (i = 0; !found && i < list.gl_pathc; i++)
		found = is_on(list.gl_pathv[i], stat) &&
			sscanf(list.gl_pathv[i], "/sys/block/%50[^/]", name) == 1;
	globfree(&list);
	if (found)
		snprintf(node, node_bytes, "/dev/%s", name);
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
