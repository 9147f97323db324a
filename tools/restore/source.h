/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_SOURCE_H
#define DMLIVE_RESTORE_SOURCE_H

/*
 * What the engine reads: an image, or, in tests of the engine, a source that fails.
 *
 * Any number of threads may call the functions at the same time. Offsets and lengths are
 * in bytes and lie within the size.
 */

#include <stdint.h>

#include "qcow2/image.h"

struct source;

struct source_ops {
	/* The extent at @offset. In: *@length is its maximal length. */
	int (*map)(struct source *source, uint64_t offset, uint64_t *length,
		   enum image_extent_kind *kind, struct image_error *err);
	int (*read)(struct source *source, uint64_t offset, void *buffer,
		    uint64_t length, struct image_error *err);
};

struct source {
	const struct source_ops *ops;
	uint64_t bytes;
	uint32_t unit_bytes;	/* reads are cheapest in these; power of two */
};

struct image_source {
	struct source source;
	struct image *image;
};

/* @source reads from the open @image. */
void image_source_init(struct image_source *source, struct image *image);

#endif /* DMLIVE_RESTORE_SOURCE_H */
