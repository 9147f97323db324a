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
		if (entry & QCOW2_REFTABLE_RESERVED_MASK ||
		    !is_aligned(header, entry))
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
