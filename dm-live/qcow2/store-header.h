/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_STORE_HEADER_H
#define DM_LIVE_QCOW2_STORE_HEADER_H

/*
 * The header of a bitmap store, a qcow2 v3 image that holds bitmaps, and what its
 * extensions say.
 */

#include "header.h"

/**
 * struct qcow2_store_header - what a valid header of a bitmap store says
 * @device_bytes: size of the device that holds the image
 * @cluster_bits: log2 of the bytes in a cluster
 * @size_bytes: the virtual size: that of the device whose blocks are tracked
 * @backing_offset: of the name of the backing file, 0: there is none
 * @backing_bytes: its length
 * @l1_offset: in bytes, 0 without one
 * @l1_bytes: size of the L1 table
 * @refcount_table_offset: in bytes
 * @refcount_table_bytes: size of it
 * @refcount_order: a refcount has 1 << order bits
 * @snapshots_offset: of the snapshot table, in bytes, 0 without one
 * @snapshots_bytes: its minimum size; names make it longer
 * @bitmaps_valid: the bitmaps are consistent: autoclear bit 0 is set, or it is
 *	clear because dmlive was interrupted while it rewrote the directory
 * @closing: the number that the last closing left, or 0
 * @state_offset: flags of the state extension, in bytes; 0: there is none
 * @state_flags: QCOW2_DMLIVE_*
 * @generations_offset: of the sector of generations, in bytes; 0: there is no valid
 *	one
 * @seal_offset: of the sector of the seal, in bytes; 0: there is no valid one
 * @nr_bitmaps: number of directory entries, 0 without the extension
 * @directory_offset: in bytes
 * @directory_bytes: size of it
 */
struct qcow2_store_header {
	u64 device_bytes;
	u32 cluster_bits;
	u64 size_bytes;
	u64 backing_offset;
	u32 backing_bytes;
	u64 l1_offset;
	u64 l1_bytes;
	u64 refcount_table_offset;
	u64 refcount_table_bytes;
	u32 refcount_order;
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

#endif /* DM_LIVE_QCOW2_STORE_HEADER_H */
