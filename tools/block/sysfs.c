// SPDX-License-Identifier: GPL-2.0-only
/* Block devices in sysfs, see sysfs.h. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "block/sysfs.h"

static bool read_line(const char *path, char *text, size_t text_bytes)
{
	FILE *file = fopen(path, "re");
	bool found;

	if (!file)
		return false;
	found = fgets(text, text_bytes, file);
	fclose(file);
	if (!found)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return text[0];
}

/* "MAJOR:MINOR" */
static bool read_devt(const char *path, dev_t *devt)
{
	unsigned int major, minor;
	char text[64];

	if (!read_line(path, text, sizeof(text)) ||
	    sscanf(text, "%u:%u", &major, &minor) != 2)
		return false;
	*devt = makedev(major, minor);
	return true;
}

bool sysfs_read(char *text, size_t text_bytes, const char *path, ...)
{
	char whole[PATH_MAX];
	va_list args;

	va_start(args, path);
	vsnprintf(whole, sizeof(whole), path, args);
	va_end(args);
	return read_line(whole, text, text_bytes);
}

bool blockdev_read_attribute(dev_t devt, const char *name, char *text,
			     size_t text_bytes)
{
	return sysfs_read(text, text_bytes, "/sys/dev/block/%u:%u/%s",
			  major(devt), minor(devt), name);
}

dev_t sysfs_disk_of(dev_t devt)
{
	char text[64], path[64];

	/* The folder of a partition is in that of its disk. */
	if (!blockdev_read_attribute(devt, "partition", text, sizeof(text)))
		return devt;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(devt),
		 minor(devt));
	read_devt(path, &devt);
	return devt;
}

static void list_paths(glob_t *list, const char *pattern, va_list args)
{
	char whole[PATH_MAX];

	vsnprintf(whole, sizeof(whole), pattern, args);
	memset(list, 0, sizeof(*list));
	glob(whole, 0, NULL, list);
}

void sysfs_list(glob_t *list, const char *pattern, ...)
{
	va_list args;

	va_start(args, pattern);
	list_paths(list, pattern, args);
	va_end(args);
}

bool sysfs_each_device(bool (*each)(dev_t devt, void *argument), void *argument,
		       const char *pattern, ...)
{
	bool found = false;
	va_list args;
	glob_t list;
	dev_t devt;
	size_t i;

	va_start(args, pattern);
	list_paths(&list, pattern, args);
	va_end(args);
	for (i = 0; !found && i < list.gl_pathc; i++)
		found = read_devt(list.gl_pathv[i], &devt) && each(devt, argument);
	globfree(&list);
	return found;
}
