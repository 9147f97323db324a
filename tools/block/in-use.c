// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who uses a block device: mounts, swap space, devices on top of it, exclusive
 * openers, QEMU, openers of a mapped device; of the device itself and of its partitions.
 * And whether this process has files on it.
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
#include "block/stacking.h"
#include "base/log.h"
#include "base/host-lock.h"

/* Ten seconds for programs that only look at it. */
#define OPEN_POLL_NS 50000000
#define OPEN_TRIES 200
#define BRIEF_TRIES 20

static int open_tries = OPEN_TRIES;

void blockdev_wait_briefly(void)
{
	open_tries = BRIEF_TRIES;
}

/* Is @devt the device or one of its partitions? */
static bool is_part(dev_t devt, dev_t device)
{
	return devt == device || sysfs_disk_of(devt) == device;
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

/* What lies on top, of the device or of a partition. */
static int check_holders(const struct blockdev *device)
{
	const unsigned int major = major(device->devt);
	const unsigned int minor = minor(device->devt);
	char part[256], text[1500];
	const char *holder;
	glob_t list;

	sysfs_list(&list, "/sys/dev/block/%u:%u/holders/*", major, minor);
	if (!list.gl_pathc)
		sysfs_list(&list, "/sys/dev/block/%u:%u/*/holders/*", major,
			   minor);
	if (!list.gl_pathc)
		return 0;
	holder = holder_describe(basename(list.gl_pathv[0]), text, sizeof(text));
	if (sscanf(list.gl_pathv[0], "/sys/dev/block/%*u:%*u/%255[^/]/holders/",
		   part) == 1 && strcmp(part, "holders"))
		error("%s: its partition %s is in use by %s", device->path,
		      part, holder);
	else
		error("%s is in use by %s", device->path, holder);
	globfree(&list);
	return -EBUSY;
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
		if (++tries == open_tries) {
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
