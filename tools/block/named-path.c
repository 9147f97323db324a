// SPDX-License-Identifier: GPL-2.0-only
/* Names of images and of what they are based on, see named-path.h. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/blockdev.h"
#include "base/log.h"
#include "block/lvm.h"
#include "block/named-path.h"

/* The folder that the name @path is in, canonical. */
static bool folder_of(const char *path, char folder[PATH_MAX])
{
	char copy[PATH_MAX];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return false;
	return realpath(dirname(copy), folder);
}

/* The folder of the file that @path leads to. */
static bool folder_of_file(const char *path, char folder[PATH_MAX])
{
	char *real = realpath(path, NULL);
	bool found = real && folder_of(real, folder);

	free(real);
	return found;
}

static bool is_in_group(const char *owner, dev_t devt)
{
	struct blockdev device = { .devt = devt };
	struct lvm_volume volume, other;
	struct stat st;

	if (stat(owner, &st) || !S_ISBLK(st.st_mode) ||
	    !lvm_find(&device, &volume))
		return false;
	device.devt = st.st_rdev;
	return lvm_find(&device, &other) && !strcmp(volume.group, other.group);
}

bool path_is_beside(const char *owner, const char *path)
{
	char folder[PATH_MAX], own[PATH_MAX];
	struct stat st;

	if (stat(path, &st))
		return true;
	if (S_ISBLK(st.st_mode))
		return is_in_group(owner, st.st_rdev);
	if (path_is_blockdev(owner) || !folder_of_file(path, folder))
		return false;
	return (folder_of(owner, own) && !strcmp(folder, own)) ||
	       (folder_of_file(owner, own) && !strcmp(folder, own));
}

static bool is_dm_node(const char *path)
{
	return !strncmp(path, "/dev/dm-", strlen("/dev/dm-"));
}

/* The name as given, in the canonical path of its folder. */
static char *absolute_path(const char *path)
{
	char folder[PATH_MAX], copy[PATH_MAX], *absolute;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy) ||
	    !folder_of(path, folder))
		return NULL;
	if (asprintf(&absolute, "%s/%s", strcmp(folder, "/") ? folder : "",
		     basename(copy)) < 0)
		return NULL;
	return absolute;
}

char *path_make_stable(const char *path)
{
	char stable[PATH_MAX], *absolute;
	struct blockdev device;
	struct stat st;

	absolute = stat(path, &st) ? NULL : absolute_path(path);
	if (!absolute) {
		error_errno(errno, "%s", path);
		return NULL;
	}
	if (!S_ISBLK(st.st_mode))
		return absolute;
	if (blockdev_open(path, &device)) {
		free(absolute);
		return NULL;
	}
	blockdev_stable_path(&device, stable, sizeof(stable));
	/* Any link may outlive a restart; its number does not. */
	if (is_dm_node(stable) && !is_dm_node(absolute))
		return absolute;
	free(absolute);
	return strdup(stable);
}
