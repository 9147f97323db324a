/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_TABLES_H
#define DM_LIVE_QCOW2_TABLES_H

/*
 * Tables, whose entries have eight bytes; and the L1 and L2 tables: how many entries
 * there are, and what is in one. Entries are native numbers here.
 */

#include "error.h"

/** qcow2_get_entry - an entry of a table as it is on disk */
static inline u64 qcow2_get_entry(const void *table, u64 index)
{
	__be64 entry;

	memcpy(&entry, (const u8 *)table + index * sizeof(entry), sizeof(entry));
	return be64_to_cpu(entry);
}

/** qcow2_put_entry - change it */
static inline void qcow2_put_entry(void *table, u64 index, u64 number)
{
	__be64 entry = cpu_to_be64(number);

	memcpy((u8 *)table + index * sizeof(entry), &entry, sizeof(entry));
}

/** qcow2_l2_table_bits - log2 of the entries in an L2 table */
static inline u32 qcow2_l2_table_bits(u32 cluster_bits, u64 incompatible)
{
	return cluster_bits -
	       (incompatible & QCOW2_INCOMPAT_EXTENDED_L2 ? 4 : 3);
}

/** qcow2_l1_entries_needed - L1 entries for @size_bytes of a disk */
static inline u64 qcow2_l1_entries_needed(u32 cluster_bits, u64 incompatible,
					  u64 size_bytes)
{
	u32 shift = cluster_bits +
		    qcow2_l2_table_bits(cluster_bits, incompatible);

	return size_bytes ? ((size_bytes - 1) >> shift) + 1 : 0;
}

/** qcow2_l1_entry_is_reserved - are bits set that have no meaning? */
static inline bool qcow2_l1_entry_is_reserved(u64 entry)
{
	return entry & QCOW2_L1E_RESERVED_MASK;
}

/** qcow2_l1_entry_offset - where the L2 table is, 0: nowhere */
static inline u64 qcow2_l1_entry_offset(u64 entry)
{
	return entry & QCOW2_L1E_OFFSET_MASK;
}

/** qcow2_l2_entry_is_reserved - the same for an entry that is not compressed */
static inline bool qcow2_l2_entry_is_reserved(u64 entry)
{
	return entry & QCOW2_L2E_RESERVED_MASK;
}

/** qcow2_l2_entry_offset - where its cluster is; without a data file, 0: nowhere */
static inline u64 qcow2_l2_entry_offset(u64 entry)
{
	return entry & QCOW2_L2E_OFFSET_MASK;
}

/** qcow2_has_zero_flag - may L2 entries say that a cluster reads as zeros? */
static inline bool qcow2_has_zero_flag(u32 version, u64 incompatible)
{
	return version >= 3 && !(incompatible & QCOW2_INCOMPAT_EXTENDED_L2);
}

/** qcow2_compressed_limit - compressed clusters lie below this offset */
static inline u64 qcow2_compressed_limit(u32 cluster_bits)
{
	return min_t(u64, QCOW2_COMPRESSED_OFFSET_LIMIT,
		     1ULL << QCOW2_COMPRESSED_SHIFT(cluster_bits));
}

/**
 * struct qcow2_compressed - a compressed cluster
 * @offset: of its first byte
 * @bytes: from there to the end of its last sector
 */
struct qcow2_compressed {
	u64 offset;
	u64 bytes;
};

/** qcow2_decode_compressed - of an L2 entry that is QCOW2_OFLAG_COMPRESSED */
static inline struct qcow2_compressed qcow2_decode_compressed(u64 entry,
							      u32 cluster_bits)
{
	const u32 shift = QCOW2_COMPRESSED_SHIFT(cluster_bits);
	const u64 flags = QCOW2_OFLAG_COPIED | QCOW2_OFLAG_COMPRESSED;
	u64 offset = entry & ((1ULL << shift) - 1);
	u64 sectors = ((entry & ~flags) >> shift) + 1;

	return (struct qcow2_compressed) {
		.offset = offset,
		.bytes = sectors * QCOW2_COMPRESSED_SECTOR_BYTES -
			 offset % QCOW2_COMPRESSED_SECTOR_BYTES,
	};
}

/** qcow2_encode_compressed - the L2 entry of @bytes compressed bytes */
static inline u64 qcow2_encode_compressed(u64 offset, u64 bytes,
					  u32 cluster_bits)
{
	u64 more_sectors =
		(offset + bytes - 1) / QCOW2_COMPRESSED_SECTOR_BYTES -
		offset / QCOW2_COMPRESSED_SECTOR_BYTES;

	return QCOW2_OFLAG_COMPRESSED | offset |
	       more_sectors << QCOW2_COMPRESSED_SHIFT(cluster_bits);
}

#endif /* DM_LIVE_QCOW2_TABLES_H */
