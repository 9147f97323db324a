// SPDX-License-Identifier: GPL-2.0-only
/* An image as the source of the engine. */
#include "restore/source.h"

static struct image *image_of(struct source *source)
{
	return ((struct image_source *)source)->image;
}

static int source_map(struct source *source, uint64_t offset, uint64_t *length,
		      enum image_extent_kind *kind, struct image_error *err)
{
	struct image_extent extent;
	int r = image_map(image_of(source), offset, *length, &extent, err);

	if (r)
		return r;
	*length = extent.offset + extent.length - offset;
	*kind = extent.kind;
	return 0;
}

static int source_read(struct source *source, uint64_t offset, void *buffer,
		       uint64_t length, struct image_error *err)
{
	return image_read(image_of(source), offset, buffer, length, err);
}

static const struct source_ops image_ops = {
	.map = source_map,
	.read = source_read,
};

void image_source_init(struct image_source *source, struct image *image)
{
	source->source.ops = &image_ops;
	source->source.bytes = image_size(image);
	source->source.unit_bytes = image_cluster_size(image);
	source->image = image;
}
