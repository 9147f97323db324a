// SPDX-License-Identifier: GPL-2.0-only
/* An image as a backing. */
#include "restore/backing.h"

static struct image *image_of(struct backing *backing)
{
	return ((struct image_backing *)backing)->image;
}

static int backing_map(struct backing *backing, uint64_t offset,
		       uint64_t *length, enum image_extent_kind *kind,
		       struct image_error *err)
{
	struct image_extent extent;
	int r = image_map(image_of(backing), offset, *length, &extent, err);

	if (r)
		return r;
	*length = extent.offset + extent.length - offset;
	*kind = extent.kind;
	return 0;
}

static int backing_read(struct backing *backing, uint64_t offset, void *buffer,
			uint64_t length, struct image_error *err)
{
	return image_read(image_of(backing), offset, buffer, length, err);
}

static const struct backing_ops image_ops = {
	.map = backing_map,
	.read = backing_read,
};

void image_backing_init(struct image_backing *backing, struct image *image)
{
	backing->backing.ops = &image_ops;
	backing->backing.bytes = image_size(image);
	backing->backing.unit_bytes = image_cluster_size(image);
	backing->image = image;
}
