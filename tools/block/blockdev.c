// SPDX-License-Identifier: GPL-2.0-only
/* Block devices: paths, size and limits. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "base/log.h"

bool path_is_blockdev(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

/* A mapped device is shown by its name rather than its number. */
static bool find_dm_name(const char *number, char *path, size_t path_bytes)
{
	char name[NAME_MAX + 1];

	if (!sysfs_read(name, sizeof(name), "/sys/dev/block/%s/dm/name", number))
		return false;
	snprintf(path, path_bytes, "/dev/mapper/%s", name);
	return path_is_blockdev(path);
}

const char *blockdev_path_of(const char *number, char *path, size_t path_bytes)
{
	char uevent[PATH_MAX], line[PATH_MAX];
	bool found = false;
	FILE *file;

	if (find_dm_name(number, path, path_bytes))
		return path;
	snprintf(uevent, sizeof(uevent), "/sys/dev/block/%s/uevent", number);
	file = fopen(uevent, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		found = !strncmp(line, "DEVNAME=", 8);
		line[strcspn(line, "\n")] = '\0';
	}
	if (file)
		fclose(file);
	snprintf(path, path_bytes, "%s%s", found ? "/dev/" : "",
		 found ? line + 8 : number);
	return path;
}

/* The queue of a partition is that of its disk. */
static uint64_t read_queue_limit(dev_t devt, const char *name)
{
	unsigned long long value;
	char text[64];

	return blockdev_read_attribute(sysfs_disk_of(devt), name, text,
				       sizeof(text)) &&
	       sscanf(text, "%llu", &value) == 1 ? value : 0;
}

static int read_geometry(int fd, struct blockdev *device)
{
	int logical, read_only;
	uint64_t bytes;

	if (ioctl(fd, BLKGETSIZE64, &bytes) || ioctl(fd, BLKSSZGET, &logical) ||
	    ioctl(fd, BLKROGET, &read_only))
		return -errno;
	device->bytes = bytes;
	device->logical_block_bytes = logical;
	device->read_only = read_only;
	return 0;
}

/* Where udev makes the nodes, the canonical path of a mapped device is /dev/dm-N. */
static void name_mapped(struct blockdev *device)
{
	char number[32], path[PATH_MAX];

	snprintf(number, sizeof(number), "%u:%u", major(device->devt),
		 minor(device->devt));
	if (find_dm_name(number, path, sizeof(path)))
		snprintf(device->path, sizeof(device->path), "%s", path);
}

int blockdev_open(const char *path, struct blockdev *device)
{
	char *canonical = realpath(path, NULL);
	struct stat st;
	int fd, r = 0;

	memset(device, 0, sizeof(*device));
	if (!canonical) {
		r = -errno;
		error_errno(r, "%s", path);
		return r;
	}
	snprintf(device->path, sizeof(device->path), "%s", canonical);
	free(canonical);

	fd = open(device->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st)) {
		r = -errno;
		error_errno(r, "%s", path);
	} else if (!S_ISBLK(st.st_mode)) {
		r = -ENOTBLK;
		error("%s is not a block device; to write an image to a file use dmlive image convert",
		      path);
	} else {
		device->devt = st.st_rdev;
		name_mapped(device);
		r = read_geometry(fd, device);
		if (r)
			error_errno(r, "%s: cannot read its size", path);
		device->writes_zeroes =
			read_queue_limit(device->devt,
					 "queue/write_zeroes_max_bytes");
	}
	if (fd >= 0)
		close(fd);
	return r;
}
