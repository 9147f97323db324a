// SPDX-License-Identifier: GPL-2.0-only
/*
 * A raw image as a layer. Holes of a sparse file are zeros. The guest sees
 * whole sectors: the size is rounded up, and what the file lacks reads as zeros.
 */
#include <stdlib.h>

#include "error.h"
#include "layer.h"

#define SECTOR_BYTES 512
#define RAW_CLUSTER_BYTES (64U << 10)

static int raw_lookup(struct layer *layer, uint64_t offset, uint64_t length,
		      struct layer_run *run, struct image_error *err)
{
	bool data;

	(void)err;
	run->length = host_file_run(layer->file, offset, length, &data);
	run->kind = data ? RUN_DATA : RUN_ZERO;
	run->file = layer->file;
	run->file_offset = offset;
	return 0;
}

static void raw_destroy(struct layer *layer)
{
	free(layer);
}

static const struct layer_ops raw_ops = {
	.format = "raw",
	.lookup = raw_lookup,
	.destroy = raw_destroy,
};

int raw_layer_open(struct host_file *file, struct layer **out,
		   struct image_error *err)
{
	struct layer *layer = calloc(1, sizeof(*layer));

	if (!layer)
		return image_fail_memory(err, host_file_path(file));
	layer->ops = &raw_ops;
	layer->file = file;
	layer->size_bytes = (host_file_size(file) + SECTOR_BYTES - 1) &
			    ~(uint64_t)(SECTOR_BYTES - 1);
	layer->cluster_bytes = RAW_CLUSTER_BYTES;
	*out = layer;
	return 0;
}
