// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocating the clusters that a bitmap lacks, see fill.h. Refcounts and content
 * of the new clusters come first; then, after a sync, the entries of the table,
 * each of which means the same bits before and after.
 */
#include <string.h>

#include "../dm-live/qcow2/tables.h"
#include "store/allocate.h"
#include "store/fill.h"

/* A cluster with the bits that the entry stood for. */
static int fill_entry(struct meta_writer *writer, u64 *entry)
{
	uint64_t offset;
	int r;

	r = meta_allocate(writer, 1, &offset);
	if (r)
		return r;
	memset(writer->cluster,
	       *entry & QCOW2_BITMAP_TABLE_ALL_ONES ? 0xff : 0,
	       writer->cluster_bytes);
	r = meta_write(writer, offset, writer->cluster, writer->cluster_bytes);
	*entry = offset;
	return r;
}

/* Bits past the end of the device are zeros. */
static int clear_tail(struct meta_writer *writer,
		      const struct meta_store_bitmap *bitmap)
{
	const struct qcow2_store_header *header = &writer->store.header;
	uint64_t last = bitmap->entry.table_entries - 1;
	uint64_t bits = ((header->size_bytes - 1) >>
			 bitmap->entry.granularity_bits) + 1;
	uint64_t used = bits - last * writer->cluster_bytes * 8;

	memset(writer->cluster, 0, writer->cluster_bytes);
	memset(writer->cluster, 0xff, used / 8);
	if (used % 8)
		writer->cluster[used / 8] = (1U << used % 8) - 1;
	return meta_write(writer, bitmap->table[last], writer->cluster,
			  writer->cluster_bytes);
}

/* An entry means the same bits before and after: a torn write does no harm. */
int meta_write_table(struct meta_writer *writer,
		     const struct meta_store_bitmap *bitmap)
{
	const uint32_t in_cluster = writer->cluster_bytes / sizeof(__be64);
	uint32_t done, i, nr;
	int r = 0;

	for (done = 0; !r && done < bitmap->entry.table_entries; done += nr) {
		nr = bitmap->entry.table_entries - done;
		if (nr > in_cluster)
			nr = in_cluster;
		for (i = 0; i < nr; i++)
			qcow2_put_entry(writer->cluster, i,
					bitmap->table[done + i]);
		r = meta_write(writer, bitmap->entry.table_offset +
				       (uint64_t)done * sizeof(__be64),
			       writer->cluster, nr * sizeof(__be64));
	}
	return r;
}

int meta_fill(struct meta_writer *writer, struct meta_store_bitmap *bitmap)
{
	uint32_t i, nr = bitmap->entry.table_entries;
	bool any = false, ones = false;
	int r = 0;

	for (i = 0; !r && i < nr; i++) {
		if (qcow2_bitmap_table_offset(bitmap->table[i]))
			continue;
		any = true;
		ones = i == nr - 1 &&
		       bitmap->table[i] & QCOW2_BITMAP_TABLE_ALL_ONES;
		r = fill_entry(writer, &bitmap->table[i]);
	}
	if (r || !any)
		return r;
	if (ones)
		r = clear_tail(writer, bitmap);
	if (!r)
		r = meta_sync(writer);
	if (!r)
		r = meta_write_table(writer, bitmap);
	return r ? r : meta_sync(writer);
}
