/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_STACKING_H
#define DMLIVE_STACKING_H

/*
 * What lies on what: devices on devices, loop devices on files, files on devices. The
 * kernel shows this in /sys/dev/block and in the list of mounts.
 */

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Is @devt the device @lower, a part of it, or stacked on it at any depth? */
bool blockdev_is_above(dev_t devt, dev_t lower);

/* Is @devt a loop device on this file, or stacked on one? */
bool blockdev_is_above_file(dev_t devt, const struct stat *file);

/*
 * The same for the file or folder @path: does its file system lie on @lower? A device
 * node stands for its device. False, since it is not known, for file systems that are
 * on no block device, or do not say on which (ZFS). All devices of the file system are
 * looked at (mounts.h), for overlayfs the upper folder.
 */
bool file_is_above(const char *path, dev_t lower);

#endif /* DMLIVE_STACKING_H */
