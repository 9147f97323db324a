// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who uses a block device: mounts, swap space, devices on top of it, exclusive
 * openers, QEMU, openers of a mapped device; of the device itself and of its partitions.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "block/dm.h"
#include "block/holder.h"
#include "base/log.h"
#include "base/host-lock.h"

/* Ten seconds for programs that only look at it. */
#define OPEN_POLL_NS 50000000
#define OPEN_TRIES 200

/* Is @devt the device or one of its partitions? */
static bool is_part(dev_t devt, dev_t device)
{
	char path[PATH_MAX];
	unsigned int major, minor;
	bool found;
	FILE *file;

	if (devt == device)
		return true;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition",
		 major(devt), minor(devt));
	if (access(path, F_OK))
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev",
		 major(devt), minor(devt));
	file = fopen(path, "re");
	if (!file)
		return false;
	found = fscanf(file, "%u:%u", &major, &minor) == 2;
	fclose(file);
	return found && makedev(major, minor) == device;
}

static bool path_is_part(const char *path, dev_t device)
{
	struct stat st;

	return path && !stat(path, &st) && S_ISBLK(st.st_mode) &&
	       is_part(st.st_rdev, device);
}

/* btrfs and others show a number of their own: so the source counts too. */
static int check_mounts(const struct blockdev *device)
{
	struct libmnt_table *table;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	int r = 0;

	table = mnt_new_table_from_file("/proc/self/mountinfo");
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	if (!table || !iter) {
		error("%s: cannot read the list of mounts in /proc/self/mountinfo",
		      device->path);
		r = -EIO;
	}
	while (!r && mnt_table_next_fs(table, iter, &fs) == 0) {
		if (!is_part(mnt_fs_get_devno(fs), device->devt) &&
		    !path_is_part(mnt_fs_get_srcpath(fs), device->devt))
			continue;
		error("%s is mounted on %s; unmount it first", device->path,
		      mnt_fs_get_target(fs));
		r = -EBUSY;
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return r;
}

static int check_swap(const struct blockdev *device)
{
	struct libmnt_table *table = mnt_new_table();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int r = 0;

	if (!table || !iter || mnt_table_parse_swaps(table, NULL)) {
		/* A kernel without swap has no list. */
		if (!access("/proc/swaps", F_OK)) {
			error("%s: cannot read the list of swap spaces in /proc/swaps",
			      device->path);
			r = -EIO;
		}
		goto free;
	}
	while (!r && mnt_table_next_fs(table, iter, &fs) == 0) {
		if (!path_is_part(mnt_fs_get_source(fs), device->devt))
			continue;
		error("%s is used as swap space; swapoff it first",
		      device->path);
		r = -EBUSY;
	}
free:
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return r;
}

/* The first device that lies on top of the one whose sysfs folder is @path. */
static bool find_holder(const char *path, char *holder, size_t holder_bytes)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	bool found = false;

	if (!folder)
		return false;
	while (!found && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(holder, holder_bytes, "%s", entry->d_name);
		found = true;
	}
	closedir(folder);
	return found;
}

static int check_holders(const struct blockdev *device)
{
	char base[PATH_MAX], path[PATH_MAX + 300], holder[256], text[1500];
	struct dirent *entry;
	DIR *folder;
	int r = 0;

	snprintf(base, sizeof(base), "/sys/dev/block/%u:%u",
		 major(device->devt), minor(device->devt));
	snprintf(path, sizeof(path), "%s/holders", base);
	if (find_holder(path, holder, sizeof(holder))) {
		error("%s is in use by %s", device->path,
		      holder_describe(holder, text, sizeof(text)));
		return -EBUSY;
	}
	folder = opendir(base);
	while (folder && !r && (entry = readdir(folder))) {
		snprintf(path, sizeof(path), "%s/%s/partition", base,
			 entry->d_name);
		if (access(path, F_OK))
			continue;
		snprintf(path, sizeof(path), "%s/%s/holders", base,
			 entry->d_name);
		if (!find_holder(path, holder, sizeof(holder)))
			continue;
		error("%s: its partition %s is in use by %s", device->path,
		      entry->d_name,
		      holder_describe(holder, text, sizeof(text)));
		r = -EBUSY;
	}
	if (folder)
		closedir(folder);
	return r;
}

static bool is_open(const char *name)
{
	struct dm_device device;

	return !dm_get_device(name, &device) && device.open_count > 0;
}

/* The kernel shows this for mapped devices only. udev opens them now and then. */
static int check_open_count(const struct blockdev *device)
{
	const struct timespec pause = { .tv_nsec = OPEN_POLL_NS };
	char name[DM_NAME_BYTES];
	int tries = 0;

	if (!blockdev_read_attribute(device->devt, "dm/name", name,
				     sizeof(name)) ||
	    !dm_name_of(major(device->devt), minor(device->devt), name))
		return 0;
	while (is_open(name)) {
		if (++tries == OPEN_TRIES) {
			error("%s is in use: another process has it open; fuser -v %s may tell which",
			      device->path, device->path);
			return -EBUSY;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* QEMU does not open a disk exclusively: it has locks. */
static int check_exclusive(const struct blockdev *device)
{
	int fd = open(device->path, O_RDWR | O_EXCL | O_CLOEXEC);
	int r = fd < 0 ? -errno : host_is_locked(fd) ? -EBUSY : 0;

	if (fd >= 0)
		close(fd);
	if (!r)
		return 0;
	if (r == -EBUSY && fd >= 0)
		error("%s is in use: another process has it locked (a running VM?); fuser -v %s may tell which",
		      device->path, device->path);
	else if (r == -EBUSY)
		error("%s is in use: another process or a driver has it opened exclusively; fuser -v %s may tell which",
		      device->path, device->path);
	else
		error_errno(r, "%s: cannot be opened for writing",
			    device->path);
	return r;
}

int blockdev_check_unused(const struct blockdev *device)
{
	int r = check_mounts(device);

	if (!r)
		r = check_swap(device);
	if (!r)
		r = check_holders(device);
	if (!r)
		r = check_exclusive(device);
	if (!r)
		r = check_open_count(device);
	return r;
}
