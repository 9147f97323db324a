// SPDX-License-Identifier: GPL-2.0-only
/* What a mounted file system is made of, see mounts.h. */
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "block/mounts.h"

/* The superblock of ext3 and ext4. */
#define EXT_SUPER_OFFSET	1024
#define EXT_MAGIC_OFFSET	0x38
#define EXT_MAGIC		0xef53
#define EXT_COMPAT_OFFSET	0x5c
#define EXT_COMPAT_HAS_JOURNAL	0x4
#define EXT_JOURNAL_INUM_OFFSET	0xe0
#define EXT_JOURNAL_DEV_OFFSET	0xe4

/* Called for each device. */
struct visitor {
	bool (*each)(dev_t devt, void *argument);
	void *argument;
};

static bool visit(const struct visitor *visitor, dev_t devt)
{
	return visitor->each(devt, visitor->argument);
}

static bool visit_path(const struct visitor *visitor, const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode) &&
	       visit(visitor, st.st_rdev);
}

/* bcachefs names all of its devices, with colons between. */
static bool visit_sources(const struct visitor *visitor, const char *sources)
{
	char *list = strdup(sources), *rest = list, *path;
	bool found = false;

	while (list && !found && (path = strsep(&rest, ":")))
		found = visit_path(visitor, path);
	free(list);
	return found;
}

static bool visit_option(const struct visitor *visitor, const char *options,
			 const char *name)
{
	size_t length;
	char *value, *path;
	bool found;

	if (!options || mnt_optstr_get_option(options, name, &value, &length))
		return false;
	path = strndup(value, length);
	found = path && visit_path(visitor, path);
	free(path);
	return found;
}

static bool is_member(dev_t devt, void *argument)
{
	const dev_t *wanted = argument;

	return devt == *wanted;
}

/* All devices of the btrfs that has @member. */
static bool visit_btrfs(const struct visitor *visitor, dev_t member)
{
	bool found = false;
	glob_t list;
	size_t i;

	sysfs_list(&list, "/sys/fs/btrfs/*/devices");
	for (i = 0; !found && i < list.gl_pathc; i++)
		found = sysfs_each_device(is_member, &member, "%s/*/dev",
					  list.gl_pathv[i]) &&
			sysfs_each_device(visitor->each, visitor->argument,
					  "%s/*/dev", list.gl_pathv[i]);
	globfree(&list);
	return found;
}

static bool read_super(dev_t devt, unsigned char super[1024])
{
	char number[32], path[PATH_MAX];
	bool done;
	int fd;

	snprintf(number, sizeof(number), "%u:%u", major(devt), minor(devt));
	fd = open(blockdev_path_of(number, path, sizeof(path)),
		  O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	/* The file system keeps this in the page cache: the read does not wait. */
	done = pread(fd, super, 1024, EXT_SUPER_OFFSET) == 1024;
	close(fd);
	return done;
}

static uint32_t get_le32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

/* A mount that finds the journal under another number writes that to the superblock. */
static bool visit_ext_journal(const struct visitor *visitor, dev_t devt)
{
	unsigned char super[1024];
	uint32_t number;

	if (!read_super(devt, super) ||
	    (super[EXT_MAGIC_OFFSET] | super[EXT_MAGIC_OFFSET + 1] << 8) !=
	    EXT_MAGIC ||
	    !(get_le32(super + EXT_COMPAT_OFFSET) & EXT_COMPAT_HAS_JOURNAL) ||
	    get_le32(super + EXT_JOURNAL_INUM_OFFSET))
		return false;
	number = get_le32(super + EXT_JOURNAL_DEV_OFFSET);
	return number && visit(visitor, makedev((number & 0xfff00) >> 8,
						(number & 0xff) |
						((number >> 12) & 0xfff00)));
}

/* Some have a number of their own. */
static bool find_main(struct libmnt_fs *fs, dev_t *devt)
{
	const char *source = mnt_fs_get_srcpath(fs);
	struct stat st;

	*devt = mnt_fs_get_devno(fs);
	if (major(*devt))
		return true;
	if (!source || stat(source, &st) || !S_ISBLK(st.st_mode))
		return false;
	*devt = st.st_rdev;
	return true;
}

bool mount_each_device(struct libmnt_fs *fs,
		       bool (*each)(dev_t devt, void *argument),
		       void *argument)
{
	const struct visitor visitor = { .each = each, .argument = argument };
	const char *type = mnt_fs_get_fstype(fs);
	const char *options = mnt_fs_get_fs_options(fs);
	const char *sources = mnt_fs_get_source(fs);
	dev_t devt;

	if (!type)
		return false;
	if (!strcmp(type, "bcachefs") && sources)
		return visit_sources(&visitor, sources);
	if (!find_main(fs, &devt))
		return false;
	if (visit(&visitor, devt))
		return true;
	if (!strcmp(type, "xfs"))
		return visit_option(&visitor, options, "logdev") ||
		       visit_option(&visitor, options, "rtdev");
	if (!strcmp(type, "ext4") || !strcmp(type, "ext3"))
		return visit_ext_journal(&visitor, devt);
	return !strcmp(type, "btrfs") && visit_btrfs(&visitor, devt);
}
