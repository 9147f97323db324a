/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_MOUNTS_H
#define DMLIVE_MOUNTS_H

/*
 * The block devices that a mounted file system is made of: the one that it is mounted
 * from, external journals of ext3 and ext4, log and realtime devices of XFS, and all
 * devices of a btrfs or bcachefs.
 */

#include <libmount/libmount.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Call @each for the devices of @fs, an entry of a list of mounts, until it returns true.
 * Returns whether it did. A device may come twice.
 */
bool mount_each_device(struct libmnt_fs *fs,
		       bool (*each)(dev_t devt, void *argument),
		       void *argument);

#endif /* DMLIVE_MOUNTS_H */
