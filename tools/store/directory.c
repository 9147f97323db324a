// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of the bitmap directory, see directory.h.
 *
 * A new directory is written where nothing points to: behind the entries of the
 * present one, if an entry is added and its clusters have room for that, else into new
 * clusters. After a sync, one write of the bitmaps extension, which lies within a
 * sector, makes it the directory. If the extension spans two sectors, that write could
 * be torn: then the autoclear bit is clear meanwhile, as QEMU does it, and a crash in
 * between leaves bitmaps that count as lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/allocate.h"
#include "store/directory.h"
#include "store/extension.h"
#include "store/fill.h"

#define SECTOR_BYTES	512u

/*
 * @nr: of entries
 * @data: the entries as on disk
 * @appended: it is the present directory and these bytes behind it; 0: it is not
 * @may_lead: the bitmaps extension may lead to it
 */
struct directory {
	uint32_t nr;
	uint8_t *data;
	uint64_t bytes;
	uint64_t appended;
	uint64_t offset;
	bool may_lead;
};

static int no_memory(void)
{
	error("out of memory");
	return -ENOMEM;
}

static uint64_t clusters(const struct meta_writer *writer, uint64_t bytes)
{
	return (bytes + writer->cluster_bytes - 1) >>
	       writer->store.header.cluster_bits;
}

/* Where the entry of a bitmap is in the directory. */
static uint64_t entry_start(const struct meta_store *store, uint32_t index)
{
	if (index == store->header.nr_bitmaps)
		return store->header.directory_bytes;
	return qcow2_bitmap_entry_start(&store->bitmaps[index].entry);
}

/* Copy the present directory without @left_out, with room for @more bytes. */
static int copy_entries(const struct meta_store *store,
			const struct meta_store_bitmap *left_out, size_t more,
			struct directory *directory)
{
	uint32_t i;

	memset(directory, 0, sizeof(*directory));
	directory->data = calloc(1, store->header.directory_bytes + more + 1);
	if (!directory->data)
		return no_memory();
	for (i = 0; i < store->header.nr_bitmaps; i++) {
		uint64_t start = entry_start(store, i);
		uint64_t bytes = entry_start(store, i + 1) - start;

		if (&store->bitmaps[i] == left_out)
			continue;
		memcpy(directory->data + directory->bytes,
		       store->directory + start, bytes);
		directory->bytes += bytes;
		directory->nr++;
	}
	return 0;
}

static void append_entry(struct directory *directory,
			 const struct meta_bitmap *bitmap,
			 uint64_t table_offset, uint32_t table_entries)
{
	directory->bytes += meta_encode_entry(directory->data + directory->bytes,
					      bitmap, table_offset,
					      table_entries);
	directory->nr++;
}

static int write_zeros(struct meta_writer *writer, uint64_t offset, uint64_t nr)
{
	int r = 0;

	memset(writer->cluster, 0, writer->cluster_bytes);
	while (!r && nr--) {
		r = meta_write(writer, offset, writer->cluster,
			       writer->cluster_bytes);
		offset += writer->cluster_bytes;
	}
	return r;
}

/* Write the directory to its place; nothing leads there yet. */
static int place_directory(struct meta_writer *writer,
			   struct directory *directory)
{
	const struct qcow2_store_header *header = &writer->store.header;
	uint64_t kept = directory->bytes - directory->appended;
	int r;

	if (directory->appended && header->nr_bitmaps &&
	    clusters(writer, directory->bytes) ==
	    clusters(writer, header->directory_bytes)) {
		directory->offset = header->directory_offset;
		return meta_write_sync(writer, directory->offset + kept,
				       directory->data + kept,
				       directory->appended);
	}
	r = meta_allocate(writer, clusters(writer, directory->bytes),
			  &directory->offset);
	if (r)
		return r;
	r = write_zeros(writer, directory->offset,
			clusters(writer, directory->bytes)) ?:
	    meta_write_sync(writer, directory->offset, directory->data,
			    directory->bytes);
	if (r)
		meta_free(writer, directory->offset,
			  clusters(writer, directory->bytes));
	return r;
}

/* Add the bitmaps extension to an image that has none. */
static int add_bitmaps_extension(struct meta_writer *writer,
				 const struct qcow2_bitmaps_extension *payload)
{
	uint32_t bytes;
	size_t at;
	int r;

	/* Until the autoclear bit is set the bitmaps do not count. */
	at = meta_find_extension(&writer->store, QCOW2_EXT_DMLIVE_FREE, &bytes);
	if (at && bytes == sizeof(*payload))
		r = meta_write_sync(writer, at, payload, bytes) ?:
		    meta_retype_extension(writer, at, QCOW2_EXT_BITMAPS);
	else
		r = meta_add_extension(writer, QCOW2_EXT_BITMAPS, payload,
				       sizeof(*payload));
	return r ? r : meta_set_autoclear(writer, true);
}

/* The image has no bitmaps any more. */
static int remove_bitmaps_extension(struct meta_writer *writer)
{
	uint32_t bytes;
	size_t at = meta_find_extension(&writer->store, QCOW2_EXT_BITMAPS,
					&bytes);

	return meta_set_autoclear(writer, false) ?:
	       meta_retype_extension(writer, at, QCOW2_EXT_DMLIVE_FREE);
}

/* Make it the directory of the image. */
static int switch_directory(struct meta_writer *writer,
			    const struct directory *directory)
{
	const struct qcow2_bitmaps_info info = {
		.nr = directory->nr,
		.directory_bytes = directory->bytes,
		.directory_offset = directory->offset,
	};
	struct qcow2_bitmaps_extension payload;
	uint32_t bytes;
	bool in_sector;
	size_t at;
	int r = 0;

	if (!directory->nr)
		return remove_bitmaps_extension(writer);
	qcow2_encode_bitmaps_info(&payload, &info);
	at = meta_find_extension(&writer->store, QCOW2_EXT_BITMAPS, &bytes);
	if (!at)
		return add_bitmaps_extension(writer, &payload);
	in_sector = at / SECTOR_BYTES ==
		    (at + sizeof(payload) - 1) / SECTOR_BYTES;
	if (!in_sector)
		r = meta_set_autoclear(writer, false);
	if (!r)
		r = meta_write_sync(writer, at, &payload, sizeof(payload));
	if (!r && !in_sector)
		r = meta_set_autoclear(writer, true);
	return r;
}

/* Replace the directory, and free the clusters of the old one. */
static int replace_directory(struct meta_writer *writer,
			     struct directory *directory)
{
	const struct qcow2_store_header *header = &writer->store.header;
	int r = 0;

	if (directory->nr)
		r = place_directory(writer, directory);
	if (r)
		return r;
	directory->may_lead = true;
	r = switch_directory(writer, directory);
	if (r || !header->nr_bitmaps ||
	    (directory->nr && directory->offset == header->directory_offset))
		return r;
	return meta_free(writer, header->directory_offset,
			 clusters(writer, header->directory_bytes));
}

/* Its clusters, and its table if it has one. */
static int free_bitmap(struct meta_writer *writer,
		       const struct meta_store_bitmap *bitmap)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < bitmap->entry.table_entries; i++) {
		uint64_t offset = qcow2_bitmap_table_offset(bitmap->table[i]);

		if (offset)
			r = meta_free(writer, offset, 1);
	}
	if (r || !bitmap->entry.table_offset)
		return r;
	return meta_free(writer, bitmap->entry.table_offset,
			 clusters(writer, bitmap->entry.table_entries *
					  sizeof(__be64)));
}

/* A table, and clusters that it leads to. */
static int allocate_table(struct meta_writer *writer,
			  struct meta_store_bitmap *bitmap)
{
	uint64_t nr = bitmap->entry.table_entries, offset;
	uint32_t i;
	int r;

	r = meta_allocate(writer, clusters(writer, nr * sizeof(__be64)),
			  &offset);
	if (r)
		return r;
	bitmap->entry.table_offset = offset;
	for (i = 0; !r && i < nr; i++) {
		r = meta_allocate(writer, 1, &offset);
		if (!r)
			bitmap->table[i] = offset;
	}
	return r;
}

/* A table, and clusters of zeros that it leads to. */
static int make_table(struct meta_writer *writer,
		      struct meta_store_bitmap *bitmap)
{
	uint32_t i, nr = bitmap->entry.table_entries;
	int r = allocate_table(writer, bitmap);

	for (i = 0; !r && i < nr; i++)
		r = write_zeros(writer, bitmap->table[i], 1);
	if (!r)
		r = write_zeros(writer, bitmap->entry.table_offset,
				clusters(writer, nr * sizeof(__be64)));
	return r ? r : meta_write_table(writer, bitmap);
}

/* A spare bitmap that has as many clusters. */
static struct meta_store_bitmap *find_spare(struct meta_writer *writer,
					    uint32_t table_entries)
{
	static const char prefix[] = QCOW2_DMLIVE_SPARE_PREFIX;
	uint32_t i;

	for (i = 0; i < writer->store.header.nr_bitmaps; i++) {
		struct meta_store_bitmap *bitmap = &writer->store.bitmaps[i];

		if (bitmap->entry.table_entries == table_entries &&
		    bitmap->entry.name_bytes >= sizeof(prefix) - 1 &&
		    !memcmp(bitmap->entry.name, prefix, sizeof(prefix) - 1))
			return bitmap;
	}
	return NULL;
}

/* Its clusters are there, but may hold anything. */
static int empty_spare(struct meta_writer *writer,
		       struct meta_store_bitmap *spare)
{
	uint32_t i;
	int r = meta_fill(writer, spare);

	for (i = 0; !r && i < spare->entry.table_entries; i++)
		r = write_zeros(writer,
				qcow2_bitmap_table_offset(spare->table[i]), 1);
	return r;
}

static int check_add(struct meta_writer *writer,
		     const struct meta_bitmap *bitmap)
{
	const struct qcow2_store_header *header = &writer->store.header;
	int r = meta_check_bitmap(header->size_bytes, bitmap);

	if (r)
		return r;
	if (!header->size_bytes) {
		error("%s: the image has a size of 0: there is nothing that a bitmap could tell of",
		      writer->store.path);
		return -EINVAL;
	}
	if (meta_store_find(&writer->store, bitmap->name)) {
		error("%s: there is a bitmap '%s' already",
		      writer->store.path, bitmap->name);
		return -EEXIST;
	}
	if (header->nr_bitmaps >= QCOW2_DMLIVE_MAX_BITMAPS) {
		error("%s: there are %u bitmaps, no more are possible: remove one",
		      writer->store.path, header->nr_bitmaps);
		return -ENOSPC;
	}
	return 0;
}

int meta_add_bitmap(struct meta_writer *writer,
		    const struct meta_bitmap *bitmap)
{
	const struct meta_store *store = &writer->store;
	struct meta_store_bitmap new = { 0 }, *spare = NULL;
	uint64_t bits_per_cluster = writer->cluster_bytes * 8, bits;
	struct directory directory = { 0 };
	size_t entry_bytes;
	int r;

	r = check_add(writer, bitmap);
	if (r)
		return r;
	bits = (store->header.size_bytes - 1) / bitmap->granularity + 1;
	new.entry.table_entries = (bits - 1) / bits_per_cluster + 1;
	new.table = calloc(new.entry.table_entries, sizeof(*new.table));
	if (!new.table)
		return no_memory();
	if (!writer->is_file)
		spare = find_spare(writer, new.entry.table_entries);
	if (spare)
		new.entry.table_offset = spare->entry.table_offset;
	r = spare ? empty_spare(writer, spare) : make_table(writer, &new);
	if (!r)
		r = meta_sync(writer);
	entry_bytes = qcow2_bitmap_entry_bytes(0, strlen(bitmap->name));
	if (!r)
		r = copy_entries(store, spare, entry_bytes, &directory);
	if (!r) {
		append_entry(&directory, bitmap, new.entry.table_offset,
			     new.entry.table_entries);
		directory.appended = spare ? 0 : entry_bytes;
		r = replace_directory(writer, &directory);
	}
	/* Nothing leads to its clusters: free those that were allocated. */
	if (r && !spare && !directory.may_lead)
		free_bitmap(writer, &new);
	free(directory.data);
	free(new.table);
	return r ? r : meta_sync(writer);
}

int meta_remove_bitmap(struct meta_writer *writer,
		       const struct meta_store_bitmap *bitmap)
{
	struct directory directory;
	int r;

	r = copy_entries(&writer->store, bitmap, 0, &directory);
	if (!r)
		r = replace_directory(writer, &directory);
	/* From here on an interruption leaks its clusters. */
	if (!r)
		r = free_bitmap(writer, bitmap);
	free(directory.data);
	return r ? r : meta_sync(writer);
}

int meta_set_flags(struct meta_writer *writer,
		   struct meta_store_bitmap *bitmap, uint32_t flags)
{
	uint64_t at = bitmap->entry.flags_offset;

	/* Four bytes at a multiple of four: they are never torn. */
	bitmap->entry.flags = flags;
	qcow2_store_set_flags(writer->store.directory + at, flags);
	return meta_write_sync(writer, writer->store.header.directory_offset + at,
			       writer->store.directory + at, sizeof(__be32));
}
