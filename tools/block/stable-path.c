// SPDX-License-Identifier: GPL-2.0-only
/* Names of block devices that outlive a restart of the machine. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "block/lvm.h"

#define BY_ID_FOLDER "/dev/disk/by-id"

static bool is_device(const char *path, dev_t devt)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode) && st.st_rdev == devt;
}

/* The first link to it in the order of names, so that it is always the same. */
static bool find_by_id(dev_t devt, char *path, size_t path_bytes)
{
	char candidate[PATH_MAX];
	bool found = false;
	struct dirent *entry;
	DIR *folder = opendir(BY_ID_FOLDER);

	while (folder && (entry = readdir(folder))) {
		snprintf(candidate, sizeof(candidate), "%s/%s", BY_ID_FOLDER,
			 entry->d_name);
		if (!is_device(candidate, devt) ||
		    (found && strcmp(candidate, path) >= 0))
			continue;
		snprintf(path, path_bytes, "%s", candidate);
		found = true;
	}
	if (folder)
		closedir(folder);
	return found;
}

const char *blockdev_stable_path(const struct blockdev *device, char *path,
				 size_t path_bytes)
{
	struct lvm_volume volume;
	char number[32];

	if (lvm_find(device, &volume) &&
	    is_device(lvm_path(&volume, path, path_bytes), device->devt))
		return path;
	snprintf(number, sizeof(number), "%u:%u", major(device->devt),
		 minor(device->devt));
	blockdev_path_of(number, path, path_bytes);
	if (!strncmp(path, "/dev/mapper/", 12) && is_device(path, device->devt))
		return path;
	if (!find_by_id(device->devt, path, path_bytes))
		snprintf(path, path_bytes, "%s", device->path);
	return path;
}

/* A partition is known by its disk's identity and its number. */
const char *blockdev_identity(const struct blockdev *device, char *text,
			      size_t text_bytes)
{
	static const struct {
		const char *kind, *attribute, *of_disk;
	} sources[] = {
		{ "dm", "dm/uuid", NULL },
		{ "wwid", "wwid", "../wwid" },
		{ "wwid", "device/wwid", "../device/wwid" },
		{ "serial", "device/serial", "../device/serial" },
		{ "serial", "serial", "../serial" },
	};
	char value[256], number[32] = "";
	bool is_part = blockdev_read_attribute(device->devt, "partition",
					       number, sizeof(number));
	unsigned int i;

	for (i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const char *attribute = is_part ? sources[i].of_disk :
						  sources[i].attribute;

		if (!attribute ||
		    !blockdev_read_attribute(device->devt, attribute, value,
					     sizeof(value)))
			continue;
		snprintf(text, text_bytes, "%s:%s%s%s", sources[i].kind, value,
			 is_part ? ":" : "", number);
		return text;
	}
	text[0] = '\0';
	return text;
}

void blockdev_drop_cache(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	/* Without permission for this, reads are as fresh as they can be. */
	if (path_is_blockdev(path) && ioctl(fd, BLKFLSBUF))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}
