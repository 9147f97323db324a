// SPDX-License-Identifier: GPL-2.0-only
/* Overlaps of the structures of a bitmap store, see extents.h. */
#include "bytes.h"
#include "extents.h"
#include "refcounts.h"

size_t qcow2_store_count_bitmap(const struct qcow2_store_bitmap *bitmap)
{
	return (size_t)bitmap->table_entries + 1;
}

size_t qcow2_store_count_refcounts(const struct qcow2_store_header *header,
				   const __be64 *table)
{
	u64 i, nr = 0;

	for (i = 0; i < qcow2_store_refcount_entries(header); i++)
		nr += !!table[i];
	return nr;
}

static void add_extent(struct qcow2_store_extents *extents, u64 offset,
		       u64 bytes, const char *what,
		       const struct qcow2_store_bitmap *bitmap)
{
	struct qcow2_store_extent *extent;

	if (!bytes)
		return;
	extent = &extents->list[extents->nr++];
	extent->offset = offset;
	extent->bytes = bytes;
	extent->what = what;
	extent->bitmap = bitmap;
}

void qcow2_store_add_header(struct qcow2_store_extents *extents,
			    const struct qcow2_store_header *header)
{
	add_extent(extents, 0, cluster_bytes(header), "the header", NULL);
	add_extent(extents, header->l1_offset, header->l1_bytes,
		   "the L1 table", NULL);
	add_extent(extents, header->refcount_table_offset,
		   header->refcount_table_bytes, "the refcount table", NULL);
	add_extent(extents, header->snapshots_offset, header->snapshots_bytes,
		   "the snapshot table", NULL);
	add_extent(extents, header->directory_offset, header->directory_bytes,
		   "the bitmap directory", NULL);
}

void qcow2_store_add_bitmap(struct qcow2_store_extents *extents,
			    const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    const u64 *entries)
{
	u64 offset;
	u32 i;

	add_extent(extents, bitmap->table_offset, bitmap->table_entries * 8ULL,
		   "the table", bitmap);
	for (i = 0; i < bitmap->table_entries; i++) {
		offset = qcow2_bitmap_table_offset(entries[i]);
		if (offset)
			add_extent(extents, offset, cluster_bytes(header),
				   "a cluster of bits", bitmap);
	}
}

void qcow2_store_add_refcounts(struct qcow2_store_extents *extents,
			       const struct qcow2_store_header *header,
			       const __be64 *table)
{
	u64 i, nr = qcow2_store_refcount_entries(header);

	for (i = 0; i < nr; i++)
		if (table[i])
			add_extent(extents, be64_to_cpu(table[i]),
				   cluster_bytes(header), "a refcount block",
				   NULL);
}

static int compare_extents(const void *a, const void *b)
{
	const struct qcow2_store_extent *x = a;
	const struct qcow2_store_extent *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int refuse_overlap(const struct qcow2_store_extent *a,
			  const struct qcow2_store_extent *b,
			  struct qcow2_store_error *error)
{
	const struct qcow2_store_extent *swap = a;

	/* The one of a bitmap comes first: the message names that. */
	if (!a->bitmap) {
		a = b;
		b = swap;
	}
	if (!a->bitmap)
		return refuse(error, "%s and %s overlap at offset %llu",
			      b->what, a->what, (unsigned long long)a->offset);
	if (!b->bitmap || b->bitmap == a->bitmap)
		return refuse_bitmap(error, a->bitmap,
				     "%s and %s overlap at offset %llu",
				     a->what, b->what,
				     (unsigned long long)a->offset);
	return refuse_bitmap(error, a->bitmap,
			     "%s and %s of bitmap '%.*s' overlap at offset %llu",
			     a->what, b->what, name_width(b->bitmap),
			     b->bitmap->name, (unsigned long long)a->offset);
}

int qcow2_store_check_overlaps(struct qcow2_store_extents *extents,
			       struct qcow2_store_error *error)
{
	const struct qcow2_store_extent *list = extents->list;
	size_t i;

	shim_sort(extents->list, extents->nr, sizeof(*list), compare_extents);
	for (i = 1; i < extents->nr; i++)
		if (list[i].offset - list[i - 1].offset < list[i - 1].bytes)
			return refuse_overlap(&list[i - 1], &list[i], error);
	return 0;
}
