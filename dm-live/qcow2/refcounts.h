/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_REFCOUNTS_H
#define DM_LIVE_QCOW2_REFCOUNTS_H

/* The refcount table and the refcounts in its blocks. */

#include "store-header.h"

/** qcow2_store_refcount_entries - number of entries of the refcount table */
u64 qcow2_store_refcount_entries(const struct qcow2_store_header *header);

/**
 * qcow2_store_check_refcount_table - check where the refcount blocks are
 * @table: qcow2_store_refcount_entries() entries, as on disk
 */
int qcow2_store_check_refcount_table(const struct qcow2_store_header *header,
				     const __be64 *table,
				     struct qcow2_store_error *error);

/** qcow2_refcount_block - where an entry of the refcount table leads to, 0: nowhere */
static inline u64 qcow2_refcount_block(u64 entry)
{
	return entry & QCOW2_REFTABLE_OFFSET_MASK;
}

/** qcow2_refcount_block_is_valid - does it lead to the start of a cluster, if anywhere? */
static inline bool qcow2_refcount_block_is_valid(u64 entry, u32 cluster_bits)
{
	return !(entry & QCOW2_REFTABLE_RESERVED_MASK) &&
	       !(entry & ((1ULL << cluster_bits) - 1));
}

/** qcow2_refcounts_in - refcounts of 1 << @order bits in so many bytes */
static inline u64 qcow2_refcounts_in(u64 bytes, u32 order)
{
	return bytes * 8 >> order;
}

/** qcow2_get_refcount - the refcount at @index of a block, or of a part of it */
u64 qcow2_get_refcount(const void *block, u64 index, u32 order);

/** qcow2_put_refcount - change it; bits of @value that do not fit are dropped */
void qcow2_put_refcount(void *block, u64 index, u32 order, u64 value);

#endif /* DM_LIVE_QCOW2_REFCOUNTS_H */
