// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layout of a new bitmap store, see layout.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/directory.h"
#include "../dm-live/qcow2/refcounts.h"
#include "../dm-live/qcow2/tables.h"
#include "base/log.h"
#include "store/layout.h"

static uint64_t divide_up(uint64_t value, uint64_t unit)
{
	return value / unit + (value % unit != 0);
}

static uint64_t clusters(uint64_t bytes)
{
	return divide_up(bytes, META_CLUSTER_BYTES);
}

size_t meta_encode_entry(void *at, const struct meta_bitmap *bitmap,
			 uint64_t table_offset, uint32_t table_entries)
{
	const struct qcow2_store_bitmap entry = {
		.name = bitmap->name,
		.name_bytes = strlen(bitmap->name),
		.flags = bitmap->autoload ? QCOW2_BITMAP_AUTO : 0,
		.granularity_bits = __builtin_ctzll(bitmap->granularity),
		.table_offset = table_offset,
		.table_entries = table_entries,
	};

	qcow2_encode_bitmap_entry(at, &entry);
	return qcow2_bitmap_entry_bytes(0, entry.name_bytes);
}

static uint64_t bitmap_bytes(uint64_t size, const struct meta_bitmap *bitmap)
{
	return divide_up(divide_up(size, bitmap->granularity), 8);
}

int meta_check_bitmap(uint64_t size, const struct meta_bitmap *bitmap)
{
	uint64_t granularity = bitmap->granularity;
	size_t length = strlen(bitmap->name);

	if (!length || length > QCOW2_MAX_BITMAP_NAME_BYTES) {
		error("bitmap '%s': a name has 1 to %u bytes", bitmap->name,
		      QCOW2_MAX_BITMAP_NAME_BYTES);
		return -EINVAL;
	}
	if (granularity & (granularity - 1) ||
	    granularity < 1ULL << QCOW2_MIN_BITMAP_GRANULARITY_BITS ||
	    granularity > 1ULL << QCOW2_MAX_BITMAP_GRANULARITY_BITS) {
		error("bitmap '%s': the granularity must be a power of two from 512 to 2G",
		      bitmap->name);
		return -EINVAL;
	}
	if (bitmap_bytes(size, bitmap) > META_MAX_BITMAP_BYTES) {
		error("bitmap '%s': it would be larger than 512 MiB, which QEMU's tools do not read: choose a larger granularity",
		      bitmap->name);
		return -EFBIG;
	}
	return 0;
}

static int check_bitmap(const struct meta_spec *spec, size_t index)
{
	const struct meta_bitmap *bitmap = &spec->bitmaps[index];
	size_t i;

	for (i = 0; i < index; i++) {
		if (!strcmp(spec->bitmaps[i].name, bitmap->name)) {
			error("bitmap '%s': the name is given twice",
			      bitmap->name);
			return -EEXIST;
		}
	}
	return meta_check_bitmap(spec->size, bitmap);
}

static int check_spec(const struct meta_spec *spec)
{
	size_t i;
	int r = 0;

	if (!spec->size || spec->size % 512) {
		error("size %" PRIu64 ": it must be a multiple of 512 bytes, and not 0",
		      spec->size);
		return -EINVAL;
	}
	if (qcow2_l1_entries_needed(META_CLUSTER_BITS, 0, spec->size) >
	    QCOW2_MAX_L1_BYTES / sizeof(__be64)) {
		error("size %" PRIu64 ": too large for a qcow2 image",
		      spec->size);
		return -EFBIG;
	}
	if (spec->backing &&
	    (!*spec->backing ||
	     strlen(spec->backing) > QCOW2_MAX_BACKING_NAME_BYTES)) {
		error("backing image: its name must have 1 to %u bytes",
		      QCOW2_MAX_BACKING_NAME_BYTES);
		return -ENAMETOOLONG;
	}
	for (i = 0; !r && i < spec->nr_bitmaps; i++)
		r = check_bitmap(spec, i);
	return r;
}

/* Place everything, with this number of refcount blocks. */
static void place(const struct meta_spec *spec, struct meta_layout *layout)
{
	uint64_t next = 1;	/* cluster; 0 is the header */
	size_t i;

	layout->refcount_table_clusters =
		clusters(layout->nr_refcount_blocks * sizeof(__be64));
	layout->refcount_table_offset = next << META_CLUSTER_BITS;
	next += layout->refcount_table_clusters;
	layout->refcount_blocks_offset = next << META_CLUSTER_BITS;
	next += layout->nr_refcount_blocks;
	layout->l1_entries = qcow2_l1_entries_needed(META_CLUSTER_BITS, 0,
						     spec->size);
	layout->l1_offset = next << META_CLUSTER_BITS;
	next += clusters(layout->l1_entries * sizeof(__be64));
	layout->directory_bytes = 0;
	for (i = 0; i < spec->nr_bitmaps; i++)
		layout->directory_bytes +=
			qcow2_bitmap_entry_bytes(0, strlen(spec->bitmaps[i].name));
	layout->directory_offset = next << META_CLUSTER_BITS;
	next += clusters(layout->directory_bytes);
	for (i = 0; i < spec->nr_bitmaps; i++) {
		struct meta_bitmap_place *bitmap = &layout->bitmaps[i];

		bitmap->table_entries =
			clusters(bitmap_bytes(spec->size, &spec->bitmaps[i]));
		bitmap->table_offset = next << META_CLUSTER_BITS;
		next += clusters(bitmap->table_entries * sizeof(__be64));
		bitmap->bits_offset = next << META_CLUSTER_BITS;
		next += bitmap->table_entries;
	}
	layout->nr_clusters = next;
	layout->nr_free = spec->store_uuid ? clusters(layout->directory_bytes) : 0;
}

int meta_layout_make(const struct meta_spec *spec, struct meta_layout *layout)
{
	int r = check_spec(spec);

	memset(layout, 0, sizeof(*layout));
	if (r)
		return r;
	layout->bitmaps = calloc(spec->nr_bitmaps, sizeof(*layout->bitmaps));
	if (!layout->bitmaps) {
		error("out of memory");
		return -ENOMEM;
	}
	/* More refcount blocks may need yet another one for themselves. */
	do {
		layout->nr_refcount_blocks++;
		place(spec, layout);
	} while (layout->nr_clusters > layout->nr_refcount_blocks *
		 qcow2_refcounts_in(META_CLUSTER_BYTES, META_REFCOUNT_ORDER));
	return 0;
}

uint64_t meta_layout_bytes(const struct meta_layout *layout)
{
	return (layout->nr_clusters + layout->nr_free) << META_CLUSTER_BITS;
}

void meta_layout_free(struct meta_layout *layout)
{
	free(layout->bitmaps);
	layout->bitmaps = NULL;
}
