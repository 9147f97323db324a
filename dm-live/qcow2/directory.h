/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_DIRECTORY_H
#define DM_LIVE_QCOW2_DIRECTORY_H

/*
 * The checks of a bitmap store: a qcow2 v3 image that holds bitmaps.
 *
 * Pure functions over byte buffers, for the kernel, the tools and the fuzzers.
 * Nothing that comes from the device is believed before it went through here.
 * Buffers may be of any length and content; nothing is read outside of them.
 *
 * The order of use: check_header() on the first cluster, check_directory() on
 * the bitmap directory that the header tells of, check_table() on the table of
 * each bitmap, check_refcount_table(), and check_overlaps() on all extents.
 *
 * Format: docs/interop/qcow2.txt of QEMU, and Documentation/bitmap-format.rst
 * for the header extension of our own. All functions return 0 or -EINVAL
 * (-EOPNOTSUPP for what is valid but not supported), and then error->message
 * says what is wrong, with the bitmap's name where it concerns one.
 *
 * Context: any; no locks, no allocation, no sleep.
 */

#include "../shim.h"
#include "qcow2-format.h"

#define QCOW2_STORE_ERROR_BYTES	200

struct qcow2_store_error {
	char message[QCOW2_STORE_ERROR_BYTES];
};

/**
 * struct qcow2_store_header - what a valid header says
 * @device_bytes: size of the device that holds the image
 * @cluster_bits: log2 of the bytes in a cluster
 * @size_bytes: the virtual size: that of the device whose blocks are tracked
 * @l1_offset: in bytes, 0 without one
 * @l1_bytes: size of the L1 table
 * @refcount_table_offset: in bytes
 * @refcount_table_bytes: size of it
 * @snapshots_offset: of the snapshot table, in bytes, 0 without one
 * @snapshots_bytes: size of it at least; names make it longer
 * @bitmaps_valid: the bitmaps are consistent: autoclear bit 0 is set, or it is
 *	clear because dmlive was interrupted while it rewrote the directory
 * @closing: the number that the last closing has left, or 0
 * @state_offset: flags of the state extension, in bytes; 0: there is none
 * @state_flags: QCOW2_DMLIVE_*
 * @generations_offset: of the sector of generations, in bytes; 0: there is none
 *	that counts
 * @seal_offset: of the sector of the seal, in bytes; 0: there is none that counts
 * @nr_bitmaps: number of directory entries, 0 without the extension
 * @directory_offset: in bytes
 * @directory_bytes: size of it
 */
struct qcow2_store_header {
	u64 device_bytes;
	u32 cluster_bits;
	u64 size_bytes;
	u64 l1_offset;
	u64 l1_bytes;
	u64 refcount_table_offset;
	u64 refcount_table_bytes;
	u64 snapshots_offset;
	u64 snapshots_bytes;
	bool bitmaps_valid;
	u64 closing;
	u64 state_offset;
	u32 state_flags;
	u64 generations_offset;
	u64 seal_offset;
	u32 nr_bitmaps;
	u64 directory_offset;
	u64 directory_bytes;
};

/**
 * struct qcow2_store_bitmap - a directory entry
 * @name: in the directory buffer, not terminated
 * @name_bytes: length of @name
 * @name_hash: FNV-1a of @name, so that names that occur twice are found quickly
 * @flags: QCOW2_BITMAP_*
 * @flags_offset: where they stand, in bytes from the start of the directory
 * @granularity_bits: log2 of the bytes that a bit stands for
 * @table_offset: in bytes
 * @table_entries: number of clusters with bits
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
};

/**
 * struct qcow2_store_extent - a part of the image, for check_overlaps()
 * @offset: in bytes
 * @bytes: length, not 0
 * @what: for the message
 * @bitmap: whose it is, or NULL
 */
struct qcow2_store_extent {
	u64 offset;
	u64 bytes;
	const char *what;
	const struct qcow2_store_bitmap *bitmap;
};

/**
 * struct qcow2_store_extents - all that must not overlap
 * @list: made by the caller, with room for what qcow2_store_count_*() add up to
 * @nr: how many there are
 */
struct qcow2_store_extents {
	struct qcow2_store_extent *list;
	size_t nr;
};

/** qcow2_store_probe_cluster_bits - from the first 104 bytes; 0 if not qcow2 v3 */
u32 qcow2_store_probe_cluster_bits(const void *data, size_t bytes);

/**
 * qcow2_store_check_header - check the header and its extensions
 * @data: the start of the image
 * @bytes: at least min(cluster size, device size)
 * @device_bytes: size of the device
 */
int qcow2_store_check_header(const void *data, size_t bytes, u64 device_bytes,
			     struct qcow2_store_header *header,
			     struct qcow2_store_error *error);

/**
 * qcow2_store_check_directory - check the bitmap directory
 * @data: header->directory_bytes bytes
 * @bitmaps: room for header->nr_bitmaps
 * Takes time in proportion to the square of the number of bitmaps.
 */
int qcow2_store_check_directory(const struct qcow2_store_header *header,
				const void *data,
				struct qcow2_store_bitmap *bitmaps,
				struct qcow2_store_error *error);

/**
 * qcow2_store_check_table - check a bitmap table
 * @table: bitmap->table_entries entries, as on disk
 * @preallocated: each entry must be a cluster of its own
 */
int qcow2_store_check_table(const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    const __be64 *table, bool preallocated,
			    struct qcow2_store_error *error);

/** qcow2_store_table_cluster - where the bits of a table entry are, 0: nowhere */
u64 qcow2_store_table_cluster(__be64 entry);

/** qcow2_store_refcount_entries - number of entries of the refcount table */
u64 qcow2_store_refcount_entries(const struct qcow2_store_header *header);

/**
 * qcow2_store_check_refcount_table - check where the refcount blocks are
 * @table: qcow2_store_refcount_entries() entries, as on disk
 */
int qcow2_store_check_refcount_table(const struct qcow2_store_header *header,
				     const __be64 *table,
				     struct qcow2_store_error *error);

/* What qcow2_store_add_header() adds at most. */
#define QCOW2_STORE_HEADER_EXTENTS	5

/** qcow2_store_count_bitmap - how many extents add_bitmap() adds at most */
size_t qcow2_store_count_bitmap(const struct qcow2_store_bitmap *bitmap);

/** qcow2_store_count_refcounts - how many add_refcounts() adds */
size_t qcow2_store_count_refcounts(const struct qcow2_store_header *header,
				   const __be64 *table);

/** qcow2_store_add_header - add the header and what it points to */
void qcow2_store_add_header(struct qcow2_store_extents *extents,
			    const struct qcow2_store_header *header);

/**
 * qcow2_store_add_bitmap - add a bitmap's table and clusters
 * @entries: of the table, as native numbers
 */
void qcow2_store_add_bitmap(struct qcow2_store_extents *extents,
			    const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    const u64 *entries);

/** qcow2_store_add_refcounts - add the refcount blocks; the table is checked */
void qcow2_store_add_refcounts(struct qcow2_store_extents *extents,
			       const struct qcow2_store_header *header,
			       const __be64 *table);

/** qcow2_store_check_overlaps - no two share a byte; the list gets sorted */
int qcow2_store_check_overlaps(struct qcow2_store_extents *extents,
			       struct qcow2_store_error *error);

/** qcow2_store_name_hash - FNV-1a, 64 bits */
u64 qcow2_store_name_hash(const char *name, size_t bytes);

/** qcow2_store_name_is - is this the bitmap's name? */
bool qcow2_store_name_is(const struct qcow2_store_bitmap *bitmap,
			 const char *name);

/** qcow2_store_bitmap_bytes - bytes of bits that the bitmap has */
u64 qcow2_store_bitmap_bytes(const struct qcow2_store_header *header,
			     const struct qcow2_store_bitmap *bitmap);

/**
 * qcow2_store_set_autoclear - set or clear autoclear bit 0 in the header
 *
 * Bits that are not known are cleared in any case.
 */
void qcow2_store_set_autoclear(void *header_data, bool valid);

/**
 * qcow2_store_set_closing - leave the number of a closing in the header
 * @closing: at most QCOW2_AUTOCLEAR_CLOSING_MAX; 0: none
 */
void qcow2_store_set_closing(void *header_data, u64 closing);

/** qcow2_store_set_flags - replace the flags of a bitmap, or of the state */
void qcow2_store_set_flags(void *flags_data, u32 flags);

#endif /* DM_LIVE_QCOW2_DIRECTORY_H */
