/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_QCOW2_BITMAP_H
#define DMLIVE_QCOW2_BITMAP_H

/* The directory of persistent bitmaps of a qcow2 image. */

#include "host-file.h"
#include "image.h"
#include "qcow2-header.h"

struct qcow2_bitmap {
	char *name;
	uint64_t table_offset;
	unsigned int table_entries;
	unsigned int flags;		/* QCOW2_BITMAP_* */
	unsigned int granularity_bits;
};

struct qcow2_bitmap_directory {
	unsigned int nr;
	struct qcow2_bitmap *bitmaps;
};

/*
 * Read and check the directory; an image without bitmaps gives an empty one. -EINVAL:
 * it cannot be right; -EOPNOTSUPP: it holds a bitmap that is not supported.
 */
int qcow2_bitmaps_read(const struct host_file *file,
		       const struct qcow2_header_info *info,
		       struct qcow2_bitmap_directory *directory,
		       struct image_error *err);
void qcow2_bitmaps_release(struct qcow2_bitmap_directory *directory);

#endif /* DMLIVE_QCOW2_BITMAP_H */
