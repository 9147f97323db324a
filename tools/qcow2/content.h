/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CONTENT_H
#define DMLIVE_CONTENT_H

/* What a block device holds that is to be overwritten. */

#include "block/blockdev.h"

/*
 * Does it hold something: a qcow2 image, a file system, RAID or LVM signature, a
 * partition table, an image in another format, an archive? -EEXIST, and a description
 * in @what, to follow "a" in a message; or another negative errno after a message.
 */
int blockdev_check_empty(const struct blockdev *device, char *what,
			 size_t what_bytes);

/* The same, but images and archives are not looked for. */
int blockdev_check_signature(const struct blockdev *device, char *what,
			     size_t what_bytes);

/* Is there a qcow2 header on it? 1, 0 or a negative errno after a message. */
int blockdev_has_qcow2(const char *path);

#endif /* DMLIVE_CONTENT_H */
