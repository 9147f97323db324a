// SPDX-License-Identifier: GPL-2.0-only
/* What lies on what, see stacking.h. */
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block/mounts.h"
#include "block/stacking.h"
#include "block/sysfs.h"

/* Devices can be stacked no deeper than this: a guard against loops. */
#define MAX_DEPTH 32

/* What is looked for below: a device, or a file. */
struct lower {
	dev_t devt;			/* 0: a file */
	const struct stat *file;
};

static bool is_above(dev_t devt, const struct lower *lower, unsigned int depth);
static bool path_is_above(const char *path, const struct lower *lower,
			  unsigned int depth);

/* What is looked for, and how deep below a device or file. */
struct search {
	const struct lower *lower;
	unsigned int depth;
};

static bool search_device(dev_t devt, void *argument)
{
	const struct search *search = argument;

	return is_above(devt, search->lower, search->depth);
}

/* Is the device @lower, or one above it, among those that @devt is made of? */
static bool slaves_are_above(dev_t devt, const struct lower *lower,
			     unsigned int depth)
{
	struct search search = { .lower = lower, .depth = depth + 1 };

	return sysfs_each_device(search_device, &search,
				 "/sys/dev/block/%u:%u/slaves/*/dev",
				 major(devt), minor(devt));
}

/* A loop device is made of the file system that its file lies on. */
static bool loop_file_is_above(dev_t devt, const struct lower *lower,
			       unsigned int depth)
{
	char path[PATH_MAX];

	return blockdev_read_attribute(devt, "loop/backing_file", path,
				       sizeof(path)) &&
	       path_is_above(path, lower, depth + 1);
}

static bool is_above(dev_t devt, const struct lower *lower, unsigned int depth)
{
	const dev_t disk = sysfs_disk_of(devt);

	if (lower->devt && devt == lower->devt)
		return true;
	if (depth > MAX_DEPTH)
		return false;
	if (disk != devt && is_above(disk, lower, depth + 1))
		return true;
	return slaves_are_above(devt, lower, depth) ||
	       loop_file_is_above(devt, lower, depth);
}

bool blockdev_is_above(dev_t devt, dev_t lower_devt)
{
	const struct lower lower = { .devt = lower_devt };

	return is_above(devt, &lower, 0);
}

bool blockdev_is_above_file(dev_t devt, const struct stat *file)
{
	const struct lower lower = { .file = file };

	return is_above(devt, &lower, 0);
}

static bool upper_folder_is_above(struct libmnt_fs *fs, const struct lower *lower,
				  unsigned int depth)
{
	const char *options = mnt_fs_get_fs_options(fs);
	char *value, *folder;
	size_t length;
	bool above;

	if (!options ||
	    mnt_optstr_get_option(options, "upperdir", &value, &length))
		return false;
	folder = strndup(value, length);
	above = folder && path_is_above(folder, lower, depth + 1);
	free(folder);
	return above;
}

static bool mount_is_above(struct libmnt_fs *fs, const struct lower *lower,
			   unsigned int depth)
{
	struct search search = { .lower = lower, .depth = depth + 1 };
	const char *type = mnt_fs_get_fstype(fs);

	if (type && !strcmp(type, "overlay"))
		return upper_folder_is_above(fs, lower, depth);
	return mount_each_device(fs, search_device, &search);
}

/* Its file system may have devices beside that of its number: ask the mount. */
static bool mount_of_file_is_above(const char *path, const struct lower *lower,
				   unsigned int depth)
{
	struct libmnt_table *table;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	bool above = false;
	struct statx stx;

	if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &stx) ||
	    !(stx.stx_mask & STATX_MNT_ID))
		return false;
	table = mnt_new_table_from_file("/proc/self/mountinfo");
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	while (table && iter && !mnt_table_next_fs(table, iter, &fs)) {
		if ((uint64_t)mnt_fs_get_id(fs) != stx.stx_mnt_id)
			continue;
		above = mount_is_above(fs, lower, depth);
		break;
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return above;
}

static bool path_is_above(const char *path, const struct lower *lower,
			  unsigned int depth)
{
	struct stat st;

	if (depth > MAX_DEPTH || stat(path, &st))
		return false;
	if (lower->file && st.st_ino == lower->file->st_ino &&
	    st.st_dev == lower->file->st_dev)
		return true;
	if (S_ISBLK(st.st_mode))
		return is_above(st.st_rdev, lower, depth);
	if (major(st.st_dev) && is_above(st.st_dev, lower, depth))
		return true;
	return mount_of_file_is_above(path, lower, depth);
}

bool file_is_above(const char *path, dev_t lower_devt)
{
	const struct lower lower = { .devt = lower_devt };

	return path_is_above(path, &lower, 0);
}
