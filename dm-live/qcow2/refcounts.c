// SPDX-License-Identifier: GPL-2.0-only
/* The refcount table, see refcounts.h. */
#include "bytes.h"
#include "refcounts.h"

u64 qcow2_store_refcount_entries(const struct qcow2_store_header *header)
{
	return header->refcount_table_bytes / sizeof(__be64);
}

int qcow2_store_check_refcount_table(const struct qcow2_store_header *header,
				     const __be64 *table,
				     struct qcow2_store_error *error)
{
	u64 i, nr = qcow2_store_refcount_entries(header);

	for (i = 0; i < nr; i++) {
		u64 entry = be64_to_cpu(table[i]);

		if (!entry)
			continue;
		if (!qcow2_refcount_block_is_valid(entry, header->cluster_bits))
			return refuse(error, "entry %llu of the refcount table is not aligned to a cluster (offset %llu)",
				      (unsigned long long)i,
				      (unsigned long long)entry);
		if (!is_inside(header, entry, cluster_bytes(header)))
			return refuse(error, "entry %llu of the refcount table lies outside of the device (offset %llu)",
				      (unsigned long long)i,
				      (unsigned long long)entry);
	}
	return 0;
}

/* Big-endian if they have several bytes; within a byte they start at the lowest bit. */
u64 qcow2_get_refcount(const void *block, u64 index, u32 order)
{
	const u8 *at = (const u8 *)block + (index << order >> 3);
	u32 bytes = 1U << order >> 3;
	u64 value = 0;

	if (!bytes)
		return *at >> ((index << order) & 7) & ((1U << (1U << order)) - 1);
	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

void qcow2_put_refcount(void *block, u64 index, u32 order, u64 value)
{
	u8 *at = (u8 *)block + (index << order >> 3);
	u32 bytes = 1U << order >> 3;
	u32 shift = (index << order) & 7;
	u8 mask;

	if (!bytes) {
		mask = ((1U << (1U << order)) - 1) << shift;
		*at = (*at & ~mask) | (value << shift & mask);
		return;
	}
	for (; bytes; value >>= 8)
		at[--bytes] = value;
}
