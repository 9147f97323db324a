/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_DIRECTORY_H
#define DM_LIVE_QCOW2_DIRECTORY_H

/*
 * The directory of the bitmaps of an image, and their tables.
 *
 * A bitmap store is checked in this order: check_header() on the first cluster,
 * check_directory() on the bitmap directory where the header says, check_table() on
 * the table of each bitmap, check_refcount_table(), and check_overlaps() on all
 * extents.
 */

#include "store-header.h"

/**
 * struct qcow2_store_bitmap - a directory entry
 * @name: in the directory buffer, not terminated
 * @name_bytes: length of @name
 * @name_hash: FNV-1a of @name, so that duplicate names are found quickly
 * @flags: QCOW2_BITMAP_*
 * @flags_offset: where they stand, in bytes from the start of the directory
 * @granularity_bits: log2 of the bytes that a bit stands for
 * @table_offset: in bytes
 * @table_entries: number of clusters with bits
 * @first_of_bucket: for the search for duplicate names
 * @next_in_bucket: the same
 */
struct qcow2_store_bitmap {
	const char *name;
	u16 name_bytes;
	u64 name_hash;
	u32 flags;
	u64 flags_offset;
	u8 granularity_bits;
	u64 table_offset;
	u32 table_entries;
	u32 first_of_bucket;
	u32 next_in_bucket;
};

/** qcow2_bitmap_entry_start - where the entry starts, in bytes from the directory's */
u64 qcow2_bitmap_entry_start(const struct qcow2_store_bitmap *bitmap);

/** qcow2_bitmap_entry_bytes - of a directory entry with a name of this length */
u64 qcow2_bitmap_entry_bytes(u32 extra_bytes, u32 name_bytes);

/**
 * qcow2_check_directory - check the bitmap directory
 * @header: of a bitmap store; or of any image, and then only these are set:
 *	cluster_bits, size_bytes, nr_bitmaps, directory_bytes, and device_bytes, where
 *	the image ends at the latest
 * @data: header->directory_bytes bytes
 * @may_be_stale: accept bitmaps that are IN_USE and do not fit the size of the image:
 *	it need not have been kept up to date
 * @bitmaps: room for header->nr_bitmaps
 */
int qcow2_check_directory(const struct qcow2_store_header *header,
			  const void *data, bool may_be_stale,
			  struct qcow2_store_bitmap *bitmaps,
			  struct qcow2_store_error *error);

/** qcow2_store_check_directory - the same for a bitmap store, where nothing is stale */
int qcow2_store_check_directory(const struct qcow2_store_header *header,
				const void *data,
				struct qcow2_store_bitmap *bitmaps,
				struct qcow2_store_error *error);

/**
 * qcow2_encode_bitmap_entry - make a directory entry, of type "dirty"
 * @at: where; zeros, as many as qcow2_bitmap_entry_bytes() says
 * @bitmap: name, flags, granularity and table count
 */
void qcow2_encode_bitmap_entry(void *at,
			       const struct qcow2_store_bitmap *bitmap);

/**
 * qcow2_store_check_table - check a bitmap table
 * @table: bitmap->table_entries entries, as on disk
 * @preallocated: each entry must be a cluster of its own
 */
int qcow2_store_check_table(const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    const __be64 *table, bool preallocated,
			    struct qcow2_store_error *error);

/** qcow2_bitmap_table_offset - where the bits of an entry are, 0: nowhere */
static inline u64 qcow2_bitmap_table_offset(u64 entry)
{
	return entry & QCOW2_BITMAP_TABLE_OFFSET_MASK;
}

/** qcow2_bitmap_table_is_reserved - are bits of an entry set that have no meaning? */
static inline bool qcow2_bitmap_table_is_reserved(u64 entry)
{
	return entry & QCOW2_BITMAP_TABLE_RESERVED_MASK ||
	       (qcow2_bitmap_table_offset(entry) &&
		entry & QCOW2_BITMAP_TABLE_ALL_ONES);
}

/** qcow2_store_name_hash - FNV-1a, 64 bits */
u64 qcow2_store_name_hash(const char *name, size_t bytes);

/** qcow2_store_name_is - is this the bitmap's name? */
bool qcow2_store_name_is(const struct qcow2_store_bitmap *bitmap,
			 const char *name);

/** qcow2_store_bitmap_bytes - bytes of bits that the bitmap has */
u64 qcow2_store_bitmap_bytes(const struct qcow2_store_header *header,
			     const struct qcow2_store_bitmap *bitmap);

/**
 * qcow2_set_bitmap_table - the table of a bitmap was copied elsewhere
 * @directory: in which @bitmap was found
 */
void qcow2_set_bitmap_table(void *directory,
			    const struct qcow2_store_bitmap *bitmap,
			    u64 offset, u32 entries);

/** qcow2_store_set_flags - replace the flags of a bitmap, or of the state */
void qcow2_store_set_flags(void *flags_data, u32 flags);

/** qcow2_encode_state - the payload of a state extension, without flags */
void qcow2_encode_state(struct qcow2_dmlive_state *state);

#endif /* DM_LIVE_QCOW2_DIRECTORY_H */
