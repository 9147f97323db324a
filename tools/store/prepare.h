/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_PREPARE_H
#define DMLIVE_META_PREPARE_H

/* Making a bitmap store of a qcow2 image that has bitmaps. */

#include <stdint.h>

/*
 * Allocate every cluster of every bitmap of the image, a file or a block device,
 * and mark it as a store. Bits, flags and guest data stay as they are. An image
 * that is prepared already is not written. Crash-safe: at every moment it is a
 * valid image with the same bits; clusters may leak. The image must have passed
 * image_check().
 *
 * @nr_allocated: is set to the number of clusters that were allocated
 *
 * 0 or a negative errno, with a message printed: -EBUSY: in use; -EINVAL: not
 * possible with this image; -ENOSPC: the device is too small.
 */
int meta_prepare(const char *path, uint64_t *nr_allocated);

#endif /* DMLIVE_META_PREPARE_H */
