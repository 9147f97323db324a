/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_BACKING_H
#define DMLIVE_RESTORE_BACKING_H

/*
 * What the engine reads: an image, or, in tests of the engine, something that fails.
 *
 * Any number of threads may call the functions at the same time. Offsets and lengths are
 * in bytes and lie within the size.
 */

#include <stdint.h>

#include "qcow2/image.h"

struct backing;

struct backing_ops {
	/* The extent at @offset. In: *@length is its maximal length. */
	int (*map)(struct backing *backing, uint64_t offset, uint64_t *length,
		   enum image_extent_kind *kind, struct image_error *err);
	int (*read)(struct backing *backing, uint64_t offset, void *buffer,
		    uint64_t length, struct image_error *err);
};

struct backing {
	const struct backing_ops *ops;
	uint64_t bytes;
	uint32_t unit_bytes;	/* reads are cheapest in these; power of two */
};

struct image_backing {
	struct backing backing;
	struct image *image;
};

/* @backing reads from the open @image. */
void image_backing_init(struct image_backing *backing, struct image *image);

#endif /* DMLIVE_RESTORE_BACKING_H */
