/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_SYSFS_H
#define DMLIVE_SYSFS_H

/*
 * What sysfs says about block devices: /sys/dev/block/MAJOR:MINOR is the folder of one.
 * Paths are given as to printf.
 */

#include <glob.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The first line of a file. False if there is none, or nothing in it. */
bool sysfs_read(char *text, size_t text_bytes, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a file of the device, say "dm/uuid". */
bool blockdev_read_attribute(dev_t devt, const char *name, char *text,
			     size_t text_bytes);

/* The disk that @devt is a partition of; else @devt. */
dev_t sysfs_disk_of(dev_t devt);

/* The paths that match, sorted; maybe none. globfree(@list) */
void sysfs_list(glob_t *list, const char *pattern, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Call @each for the devices of the files "dev" that match, until it returns true.
 * Returns whether it did.
 */
bool sysfs_each_device(bool (*each)(dev_t devt, void *argument), void *argument,
		       const char *pattern, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* DMLIVE_SYSFS_H */
