// SPDX-License-Identifier: GPL-2.0-only
/* Counting what can be read, see readable.h. */
#include <string.h>

#include "image-internal.h"
#include "qcow2-layer.h"
#include "readable.h"

/*
 * Many entries may name one bad table: the time must not depend on what an image claims.
 * It is enough for 2 TiB in clusters of 64 KiB of which each is by itself.
 */
#define MAX_RUNS (1U << 25)

static void add(struct image_readable *count, const struct layer_run *run)
{
	if (run->kind == RUN_DATA || run->kind == RUN_COMPRESSED)
		count->readable += run->length;
}

static int look_up(struct layer *layer, uint64_t offset, struct layer_run *run,
		   struct image_error *err)
{
	int r = layer->ops->lookup(layer, offset, layer->size_bytes - offset,
				   run, err);
	char sector[512];

	if (r || run->kind != RUN_COMPRESSED ||
	    qcow2_compressed_is_inside(to_qcow2(layer), run->descriptor))
		return r;
	return layer->ops->read_compressed(layer, run->descriptor, 0, sector,
					   sizeof(sector), err);
}

void image_count_readable(struct image *image, unsigned int depth,
			  struct image_readable *count)
{
	struct layer *layer = image->layers[depth];
	uint64_t offset = 0, left;
	struct layer_run run;
	unsigned int nr;

	memset(count, 0, sizeof(*count));
	for (nr = 0; nr < MAX_RUNS && offset < layer->size_bytes; nr++) {
		left = layer->size_bytes - offset;
		/* A message takes longer than all else. */
		if (!look_up(layer, offset, &run,
			     count->unreadable ? NULL : &count->first)) {
			add(count, &run);
			offset += run.length;
			continue;
		}
		run.length = layer->cluster_bytes -
			     offset % layer->cluster_bytes;
		if (run.length > left)
			run.length = left;
		count->unreadable += run.length;
		offset += run.length;
	}
	count->is_whole = offset >= layer->size_bytes;
}
