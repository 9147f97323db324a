/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_SECTOR_SIZE_H
#define DMLIVE_SECTOR_SIZE_H

/*
 * Images are made of bytes, partition tables and file systems of sectors: what a disk
 * with 512-byte sectors holds is not found on one with 4096-byte sectors.
 */

#include <stdbool.h>

#include "block/blockdev.h"
#include "image.h"

/*
 * Does the content of @image show another sector size than @target has? Then it is
 * refused, or with @force there is a warning. Where nothing shows it, the image is
 * accepted. Returns an exit status, after a message.
 */
int sector_size_check(struct image *image, const struct blockdev *target,
		      bool force);

/*
 * The same for a block device that is copied, which messages call @name, but only a
 * warning. None if both have the same sector size.
 */
void sector_size_warn(const struct blockdev *source, const char *name,
		      const struct blockdev *target);

#endif /* DMLIVE_SECTOR_SIZE_H */
