// SPDX-License-Identifier: GPL-2.0-only
/* Reading the structures of a bitmap store, see structures.h. */
#include "bytes.h"
#include "extents.h"
#include "refcounts.h"
#include "structures.h"

/* Room for a part of the image, and its content. NULL: *@r says why. */
static void *read_part(const struct qcow2_store_reader *reader,
		       enum qcow2_store_part part, u64 offset, u64 bytes, int *r)
{
	void *memory = reader->room(reader->context, part, bytes);

	*r = memory ? reader->read(reader->context, offset, memory, bytes) :
		      -ENOMEM;
	return *r ? NULL : memory;
}

static int read_directory(const struct qcow2_store_reader *reader,
			  const struct qcow2_store_header *header,
			  struct qcow2_store_structures *structures,
			  struct qcow2_store_error *error)
{
	int r;

	structures->bitmaps =
		reader->room(reader->context, QCOW2_STORE_ENTRIES,
			     header->nr_bitmaps * (u64)sizeof(*structures->bitmaps));
	if (!structures->bitmaps)
		return -ENOMEM;
	structures->directory = read_part(reader, QCOW2_STORE_DIRECTORY,
					  header->directory_offset,
					  header->directory_bytes, &r);
	return r ?: qcow2_store_check_directory(header, structures->directory,
						structures->bitmaps, error);
}

/*
 * Whatever the entries say, memory for the tables stays within bounds: they cannot
 * be larger together than the device unless they overlap.
 */
static int add_up_tables(const struct qcow2_store_header *header,
			 const struct qcow2_store_bitmap *bitmaps, u64 *nr,
			 struct qcow2_store_error *error)
{
	u32 i;

	*nr = 0;
	for (i = 0; i < header->nr_bitmaps; i++)
		*nr += bitmaps[i].table_entries;
	if (*nr > header->device_bytes / sizeof(__be64))
		return refuse(error, "the tables of the bitmaps overlap");
	if (*nr > QCOW2_DMLIVE_MAX_TABLE_ENTRIES)
		return refuse_unsupported(error, "the tables of the bitmaps are too large together, which is not supported: %llu entries",
					  (unsigned long long)*nr);
	return 0;
}

/* The entries become native numbers in place. */
static int read_tables(const struct qcow2_store_reader *reader,
		       const struct qcow2_store_header *header,
		       struct qcow2_store_structures *structures,
		       struct qcow2_store_error *error)
{
	u64 nr, *table;
	u32 i, j;
	int r;

	r = add_up_tables(header, structures->bitmaps, &nr, error);
	if (r)
		return r;
	table = reader->room(reader->context, QCOW2_STORE_TABLES,
			     nr * sizeof(*table));
	if (!table)
		return -ENOMEM;
	structures->tables = table;
	for (i = 0; !r && i < header->nr_bitmaps; i++) {
		const struct qcow2_store_bitmap *bitmap = &structures->bitmaps[i];

		/* A table without entries may be said to be anywhere. */
		if (bitmap->table_entries)
			r = reader->read(reader->context, bitmap->table_offset, table,
					 bitmap->table_entries * sizeof(*table));
		if (!r)
			r = qcow2_store_check_table(header, bitmap, (__be64 *)table,
						    reader->preallocated, error);
		for (j = 0; !r && j < bitmap->table_entries; j++, table++)
			*table = be64_at(table);
	}
	return r;
}

static int check_extents(const struct qcow2_store_reader *reader,
			 const struct qcow2_store_header *header,
			 const struct qcow2_store_structures *structures,
			 const __be64 *refcounts, struct qcow2_store_error *error)
{
	const struct qcow2_store_bitmap *bitmaps = structures->bitmaps;
	struct qcow2_store_extents extents = { 0 };
	u64 nr = QCOW2_STORE_HEADER_EXTENTS;
	const u64 *table = structures->tables;
	u32 i;

	nr += qcow2_store_count_refcounts(header, refcounts);
	for (i = 0; i < header->nr_bitmaps; i++)
		nr += qcow2_store_count_bitmap(&bitmaps[i]);
	extents.list = reader->room(reader->context, QCOW2_STORE_EXTENTS,
				    nr * sizeof(*extents.list));
	if (!extents.list)
		return -ENOMEM;
	qcow2_store_add_header(&extents, header);
	qcow2_store_add_refcounts(&extents, header, refcounts);
	for (i = 0; i < header->nr_bitmaps; i++) {
		qcow2_store_add_bitmap(&extents, header, &bitmaps[i], table);
		table += bitmaps[i].table_entries;
	}
	return qcow2_store_check_overlaps(&extents, error);
}

int qcow2_store_read(const struct qcow2_store_reader *reader,
		     const struct qcow2_store_header *header,
		     struct qcow2_store_structures *structures,
		     struct qcow2_store_error *error)
{
	__be64 *refcounts;
	int r = 0;

	error->message[0] = '\0';
	if (header->nr_bitmaps)
		r = read_directory(reader, header, structures, error);
	if (!r)
		r = read_tables(reader, header, structures, error);
	if (r)
		return r;
	refcounts = read_part(reader, QCOW2_STORE_REFCOUNTS,
			      header->refcount_table_offset,
			      header->refcount_table_bytes, &r);
	return r ?: qcow2_store_check_refcount_table(header, refcounts, error) ?:
		    check_extents(reader, header, structures, refcounts, error);
}
