// SPDX-License-Identifier: GPL-2.0-only
/* Clearing and merging of bitmaps, see bits.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/bits.h"
#include "store/fill.h"

int meta_clear_bits(struct meta_writer *writer,
		    struct meta_store_bitmap *bitmap)
{
	uint32_t i;
	int r = meta_fill(writer, bitmap);

	memset(writer->cluster, 0, writer->cluster_bytes);
	for (i = 0; !r && i < bitmap->entry.table_entries; i++)
		r = meta_write(writer,
			       qcow2_bitmap_table_offset(bitmap->table[i]),
			       writer->cluster, writer->cluster_bytes);
	return r ? r : meta_sync(writer);
}

/*
 * The cluster of bits of @into that is in memory.
 * @index: of it; NO_CLUSTER: none
 */
struct window {
	struct meta_writer *writer;
	const struct meta_store_bitmap *into;
	uint32_t index;
	bool changed;
	uint64_t nr_added;		/* bits */
};

#define NO_CLUSTER	UINT32_MAX

static uint64_t cluster_offset(const struct window *window)
{
	return qcow2_bitmap_table_offset(window->into->table[window->index]);
}

static int write_back(struct window *window)
{
	struct meta_writer *writer = window->writer;
	int r = 0;

	if (window->changed)
		r = meta_write(writer, cluster_offset(window), writer->cluster,
			       writer->cluster_bytes);
	window->changed = false;
	return r;
}

static int move_to(struct window *window, uint32_t index)
{
	int r;

	if (window->index == index)
		return 0;
	r = write_back(window);
	window->index = index;
	return r ? r : meta_read(window->writer, cluster_offset(window),
				 window->writer->cluster,
				 window->writer->cluster_bytes);
}

/* Set bits @first to @last; ranges come in ascending order. */
static int set_bits(struct window *window, uint64_t first, uint64_t last)
{
	const uint64_t in_cluster = window->writer->cluster_bytes * 8;
	uint8_t *bits = window->writer->cluster;
	uint64_t i;
	int r = 0;

	for (i = first; !r && i <= last; i++) {
		uint64_t bit = i % in_cluster;

		r = move_to(window, i / in_cluster);
		if (r || bits[bit / 8] >> bit % 8 & 1)
			continue;
		bits[bit / 8] |= 1U << bit % 8;
		window->changed = true;
		window->nr_added++;
	}
	return r;
}

static int merge_range(void *context, uint64_t offset, uint64_t length)
{
	struct window *window = context;
	const unsigned int bits = window->into->entry.granularity_bits;

	return set_bits(window, offset >> bits, (offset + length - 1) >> bits);
}

int meta_merge_bits(struct meta_writer *writer, struct meta_store_bitmap *into,
		    struct meta_store *source,
		    const struct meta_store_bitmap *from,
		    uint64_t *added_bytes)
{
	struct window window = {
		.writer = writer,
		.into = into,
		.index = NO_CLUSTER,
	};
	int r;

	*added_bytes = 0;
	if (source->header.size_bytes != writer->store.header.size_bytes) {
		error("bitmap '%.*s' of %s is of a disk of %llu bytes, and %s of one of %llu: only bitmaps of one size can be merged",
		      from->entry.name_bytes, from->entry.name, source->path,
		      (unsigned long long)source->header.size_bytes,
		      writer->store.path,
		      (unsigned long long)writer->store.header.size_bytes);
		return -EINVAL;
	}
	r = meta_fill(writer, into);
	if (!r)
		r = meta_store_walk(source, from, merge_range, &window);
	if (!r)
		r = write_back(&window);
	*added_bytes = window.nr_added << into->entry.granularity_bits;
	return r ? r : meta_sync(writer);
}
