// SPDX-License-Identifier: GPL-2.0-only
/* Block devices: size and limits, and this process's own files on one. */
#include <dirent.h>
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
#include "block/stacking.h"

bool path_is_blockdev(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

bool blockdev_read_attribute(dev_t devt, const char *name, char *text,
			     size_t text_bytes)
{
	char path[PATH_MAX];
	FILE *file;
	bool found;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(devt),
		 minor(devt), name);
	file = fopen(path, "re");
	if (!file)
		return false;
	found = fgets(text, text_bytes, file);
	fclose(file);
	if (!found)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return text[0];
}

/* A mapped device is shown by its name rather than its number. */
static bool find_dm_name(const char *number, char *path, size_t path_bytes)
{
	char name_path[PATH_MAX], name[NAME_MAX + 1];
	FILE *file;
	bool found;

	snprintf(name_path, sizeof(name_path), "/sys/dev/block/%s/dm/name",
		 number);
	file = fopen(name_path, "re");
	if (!file)
		return false;
	found = fscanf(file, "%255s", name) == 1;
	fclose(file);
	if (found)
		snprintf(path, path_bytes, "/dev/mapper/%s", name);
	return found && path_is_blockdev(path);
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
	static const char *const folders[] = { "queue", "../queue" };
	char path[PATH_MAX];
	unsigned long long value = 0;
	unsigned int i;
	FILE *file;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s",
			 major(devt), minor(devt), folders[i], name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &value) != 1)
			value = 0;
		fclose(file);
		break;
	}
	return value;
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
			read_queue_limit(device->devt, "write_zeroes_max_bytes");
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* What is written to the device goes to the file. */
static bool writes_to(const struct blockdev *device, const char *link,
		      const struct stat *file)
{
	return file_is_above(link, device->devt) ||
	       (S_ISBLK(file->st_mode) ?
		blockdev_is_above(device->devt, file->st_rdev) :
		blockdev_is_above_file(device->devt, file));
}

static int check_own_file(const struct blockdev *device, const char *link)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t length;

	if (stat(link, &st) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return 0;
	if (!writes_to(device, link, &st))
		return 0;
	length = readlink(link, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	error("%s would be overwritten: it is, or lies on or under, %s; take another device",
	      target, device->path);
	return -EBUSY;
}

int blockdev_check_own_files(const struct blockdev *device)
{
	DIR *folder = opendir("/proc/self/fd");
	char path[PATH_MAX];
	struct dirent *entry;
	int r = 0;

	if (!folder) {
		r = -errno;
		error_errno(r, "/proc/self/fd");
		return r;
	}
	while (!r && (entry = readdir(folder))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%.20s",
			 entry->d_name);
		r = check_own_file(device, path);
	}
	closedir(folder);
	return r;
}
