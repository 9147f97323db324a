/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_LAYOUT_H
#define DMLIVE_META_LAYOUT_H

/*
 * Where everything lies in a new bitmap store: a qcow2 image of version 3 in
 * which every cluster is allocated from the start, so that its refcounts never
 * change. Pure arithmetic. The order is: header, refcount table, refcount
 * blocks, L1 table, bitmap directory, then table and bits of each bitmap.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define META_CLUSTER_BITS	16
#define META_CLUSTER_BYTES	(1u << META_CLUSTER_BITS)
#define META_REFCOUNT_ORDER	4	/* refcounts have 16 bits */

/* QEMU reads no larger bitmap. */
#define META_MAX_BITMAP_BYTES	(512u << 20)

struct meta_bitmap {
	const char *name;
	uint64_t granularity;		/* bytes, a power of two */
	bool autoload;
};

/*
 * @size: bytes of the device whose blocks are tracked
 * @bitmaps: at least one
 * @backing: the image's backing file, or NULL
 * @backing_format: "qcow2", "raw" or NULL
 * @description: text of the restore description, or NULL
 * @store_uuid: 16 bytes: the store is for the tracking of changes, with a sector of
 *	generations and room for another directory; NULL: it is not
 */
struct meta_spec {
	uint64_t size;
	size_t nr_bitmaps;
	const struct meta_bitmap *bitmaps;
	const char *backing;
	const char *backing_format;
	const char *description;
	const uint8_t *store_uuid;
};

struct meta_bitmap_place {
	uint64_t table_offset;
	uint32_t table_entries;
	uint64_t bits_offset;		/* its clusters are contiguous */
};

/* Offsets in bytes, all cluster-aligned. */
struct meta_layout {
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint64_t refcount_blocks_offset;
	uint64_t nr_refcount_blocks;
	uint64_t l1_offset;
	uint32_t l1_entries;
	uint64_t directory_offset;
	uint64_t directory_bytes;
	struct meta_bitmap_place *bitmaps;	/* one for each of the spec */
	uint64_t nr_clusters;
	uint64_t nr_free;		/* behind them: without a refcount */
};

/*
 * Check the spec and lay out the image. 0 or a negative errno, with a message
 * printed. Free with meta_layout_free().
 */
int meta_layout_make(const struct meta_spec *spec, struct meta_layout *layout);
/* Bytes that a device needs for it. */
uint64_t meta_layout_bytes(const struct meta_layout *layout);
void meta_layout_free(struct meta_layout *layout);

/*
 * May there be such a bitmap for a device of @size bytes? 0 or a negative errno, with
 * a message printed.
 */
int meta_check_bitmap(uint64_t size, const struct meta_bitmap *bitmap);

/*
 * Make the directory entry of a bitmap at @at, where zeros are. Returns the bytes
 * that it takes.
 */
size_t meta_encode_entry(void *at, const struct meta_bitmap *bitmap,
			 uint64_t table_offset, uint32_t table_entries);

#endif /* DMLIVE_META_LAYOUT_H */
