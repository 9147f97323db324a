// SPDX-License-Identifier: GPL-2.0-only
/*
 * A store for a volume that has another size now, see resize.h.
 *
 * All that changes is written to clusters that nothing leads to: clusters of bits with a
 * new tail, the tables of their bitmaps, the directory, the L1 table if it does not fit any
 * more. After a sync, one write of the header's sector makes all of it the store: the size,
 * the L1 table and the bitmaps extension are in it. Then the old clusters are freed. A crash
 * before that leaks clusters.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/allocate.h"
#include "store/extension.h"
#include "store/fill.h"
#include "store/layout.h"
#include "store/resize.h"

#define SECTOR_BYTES	512u

/* Clusters that are to be freed. */
struct clusters {
	uint64_t nr, room;
	struct {
		uint64_t offset, nr;
	} *list;
};

/*
 * @new: were allocated; free them if it fails
 * @old: free them when the new store is there
 * @sector: the header's, as it is to be
 */
struct resize {
	struct meta_writer *writer;
	uint64_t old_bytes, bytes;
	struct clusters new, old;
	uint8_t *directory;
	bool is_changed;		/* the directory */
	uint8_t sector[SECTOR_BYTES] __attribute__((aligned(8)));
};

static int no_memory(void)
{
	error("out of memory");
	return -ENOMEM;
}

static uint64_t clusters_of(const struct resize *resize, uint64_t bytes)
{
	return (bytes + resize->writer->cluster_bytes - 1) >>
	       resize->writer->store.header.cluster_bits;
}

static int note(struct clusters *clusters, uint64_t offset, uint64_t nr)
{
	if (clusters->nr == clusters->room) {
		uint64_t room = clusters->room * 2 + 64;
		void *list = realloc(clusters->list,
				     room * sizeof(*clusters->list));

		if (!list)
			return no_memory();
		clusters->list = list;
		clusters->room = room;
	}
	clusters->list[clusters->nr].offset = offset;
	clusters->list[clusters->nr++].nr = nr;
	return 0;
}

static int allocate(struct resize *resize, uint64_t nr, uint64_t *offset)
{
	return meta_allocate(resize->writer, nr, offset) ?:
	       note(&resize->new, *offset, nr);
}

static int free_all(struct resize *resize, const struct clusters *clusters)
{
	uint64_t i;
	int r = 0;

	for (i = 0; !r && i < clusters->nr; i++)
		r = meta_free(resize->writer, clusters->list[i].offset,
			      clusters->list[i].nr);
	return r;
}

static uint64_t bits_for(uint64_t bytes, const struct meta_store_bitmap *bitmap)
{
	return ((bytes - 1) >> bitmap->entry.granularity_bits) + 1;
}

static void change_bit(uint8_t *bits, uint64_t index, bool set)
{
	const uint8_t bit = 1U << index % 8;

	if (set)
		bits[index / 8] |= bit;
	else
		bits[index / 8] &= ~bit;
}

static void change_bits(uint8_t *bits, uint64_t from, uint64_t to, bool set)
{
	uint64_t bytes;

	for (; from < to && from % 8; from++)
		change_bit(bits, from, set);
	bytes = (to - from) / 8;
	memset(bits + from / 8, set ? 0xff : 0, bytes);
	for (from += bytes * 8; from < to; from++)
		change_bit(bits, from, set);
}

/* The bits of one bitmap that change: all of [from, to) are set, or cleared. */
struct change {
	uint64_t from, to;
	bool set;
};

static struct change change_of(const struct resize *resize,
			       const struct meta_store_bitmap *bitmap)
{
	const unsigned int granularity_bits = bitmap->entry.granularity_bits;
	const uint64_t per_cluster = resize->writer->cluster_bytes * 8;
	const uint64_t bits = bits_for(resize->bytes, bitmap);
	struct change change = { 0 };

	/* Bits behind the end are zeros. */
	if (resize->bytes < resize->old_bytes) {
		change.from = bits;
		change.to = (bits + per_cluster - 1) / per_cluster * per_cluster;
	} else if (!meta_name_is_reserved(bitmap->entry.name,
					  bitmap->entry.name_bytes)) {
		/* The last block may have been a part of one. */
		change.from = resize->old_bytes >> granularity_bits;
		change.to = bits;
		change.set = true;
	}
	return change;
}

/* Write the cluster @index of the new bitmap. */
static int write_bits(struct resize *resize,
		      const struct meta_store_bitmap *old,
		      const struct change *change, uint32_t index,
		      uint64_t offset)
{
	struct meta_writer *writer = resize->writer;
	const uint64_t per_cluster = writer->cluster_bytes * 8;
	const uint64_t first = index * per_cluster;
	uint64_t from = change->from < first ? 0 : change->from - first;
	uint64_t to = change->to < first ? 0 : change->to - first;
	int r = 0;

	memset(writer->cluster, 0, writer->cluster_bytes);
	if (index < old->entry.table_entries)
		r = meta_read(writer,
			      qcow2_bitmap_table_offset(old->table[index]),
			      writer->cluster, writer->cluster_bytes);
	if (r)
		return r;
	if (to > per_cluster)
		to = per_cluster;
	if (from < to)
		change_bits(writer->cluster, from, to, change->set);
	return meta_write(writer, offset, writer->cluster,
			  writer->cluster_bytes);
}

/* Fill the table of @new, where clusters that do not change stay. */
static int make_clusters(struct resize *resize,
			 const struct meta_store_bitmap *old,
			 struct meta_store_bitmap *new, bool *is_same)
{
	const uint64_t per_cluster = resize->writer->cluster_bytes * 8;
	const struct change change = change_of(resize, old);
	uint64_t offset;
	uint32_t i;
	int r = 0;

	*is_same = new->entry.table_entries == old->entry.table_entries;
	for (i = 0; !r && i < new->entry.table_entries; i++) {
		const bool is_old = i < old->entry.table_entries;

		if (is_old && (change.from >= change.to ||
			       change.from >= (i + 1) * per_cluster ||
			       change.to <= i * per_cluster)) {
			new->table[i] = old->table[i];
			continue;
		}
		*is_same = false;
		r = allocate(resize, 1, &offset);
		if (!r && is_old)
			r = note(&resize->old,
				 qcow2_bitmap_table_offset(old->table[i]), 1);
		new->table[i] = offset;
		if (!r)
			r = write_bits(resize, old, &change, i, offset);
	}
	for (; !r && i < old->entry.table_entries; i++)
		r = note(&resize->old, qcow2_bitmap_table_offset(old->table[i]),
			 1);
	return r;
}

/* Write the table, and let the new directory lead to it. */
static int make_table(struct resize *resize,
		      const struct meta_store_bitmap *old,
		      struct meta_store_bitmap *new)
{
	const uint64_t nr = clusters_of(resize, new->entry.table_entries *
						sizeof(__be64));
	struct meta_writer *writer = resize->writer;
	uint64_t offset, i;
	int r;

	r = allocate(resize, nr, &offset);
	memset(writer->cluster, 0, writer->cluster_bytes);
	for (i = 0; !r && i < nr; i++)
		r = meta_write(writer, offset + i * writer->cluster_bytes,
			       writer->cluster, writer->cluster_bytes);
	new->entry.table_offset = offset;
	if (!r)
		r = meta_write_table(writer, new);
	if (r)
		return r;
	qcow2_set_bitmap_table(resize->directory, &old->entry, offset,
			       new->entry.table_entries);
	resize->is_changed = true;
	return note(&resize->old, old->entry.table_offset,
		    clusters_of(resize, old->entry.table_entries *
					sizeof(__be64)));
}

static int resize_bitmap(struct resize *resize,
			 const struct meta_store_bitmap *old)
{
	const uint64_t per_cluster = resize->writer->cluster_bytes * 8;
	struct meta_store_bitmap new = { .entry = old->entry };
	bool is_same;
	int r;

	new.entry.table_entries = (bits_for(resize->bytes, old) - 1) /
				  per_cluster + 1;
	new.table = calloc(new.entry.table_entries, sizeof(*new.table));
	if (!new.table)
		return no_memory();
	r = make_clusters(resize, old, &new, &is_same);
	if (!r && !is_same)
		r = make_table(resize, old, &new);
	free(new.table);
	return r;
}

/* A store has no guest clusters: but QEMU may have put some there. */
static int resize_l1(struct resize *resize)
{
	struct meta_writer *writer = resize->writer;
	const struct qcow2_store_header *header = &writer->store.header;
	const uint64_t per_entry = writer->cluster_bytes *
				   (writer->cluster_bytes / sizeof(__be64));
	uint64_t bytes = ((resize->bytes - 1) / per_entry + 1) * sizeof(__be64);
	uint64_t nr = clusters_of(resize, bytes), offset = header->l1_offset;
	uint8_t *table;
	int r;

	/* It may be longer than it must be. */
	if (bytes <= header->l1_bytes)
		return 0;
	table = calloc(nr, writer->cluster_bytes);
	if (!table)
		return no_memory();
	r = header->l1_bytes ? meta_read(writer, header->l1_offset, table,
					 header->l1_bytes) : 0;
	/* Behind its end nothing is read. */
	if (!r && nr == clusters_of(resize, header->l1_bytes))
		r = meta_write(writer, offset + header->l1_bytes,
			       table + header->l1_bytes,
			       bytes - header->l1_bytes);
	else if (!r)
		r = allocate(resize, nr, &offset) ?:
		    meta_write(writer, offset, table,
			       nr * writer->cluster_bytes) ?:
		    note(&resize->old, header->l1_offset,
			 clusters_of(resize, header->l1_bytes));
	free(table);
	qcow2_set_l1(resize->sector, offset, bytes / sizeof(__be64));
	return r;
}

static int place_directory(struct resize *resize, size_t extension)
{
	struct meta_writer *writer = resize->writer;
	const struct qcow2_store_header *header = &writer->store.header;
	const uint64_t nr = clusters_of(resize, header->directory_bytes);
	struct qcow2_bitmaps_info info = {
		.nr = header->nr_bitmaps,
		.directory_bytes = header->directory_bytes,
	};
	struct qcow2_bitmaps_extension payload;
	uint64_t offset, i;
	int r;

	if (!resize->is_changed)
		return 0;
	r = allocate(resize, nr, &offset);
	memset(writer->cluster, 0, writer->cluster_bytes);
	for (i = 0; !r && i < nr; i++)
		r = meta_write(writer, offset + i * writer->cluster_bytes,
			       writer->cluster, writer->cluster_bytes);
	if (!r)
		r = meta_write(writer, offset, resize->directory,
			       header->directory_bytes);
	if (r)
		return r;
	info.directory_offset = offset;
	qcow2_encode_bitmaps_info(&payload, &info);
	memcpy(resize->sector + extension, &payload, sizeof(payload));
	return note(&resize->old, header->directory_offset, nr);
}

/* All that is new, the header apart. */
static int prepare(struct resize *resize, size_t extension)
{
	struct meta_store *store = &resize->writer->store;
	struct qcow2_header *to = (void *)resize->sector;
	uint32_t i;
	int r = 0;

	memcpy(resize->sector, store->first_cluster, SECTOR_BYTES);
	for (i = 0; !r && i < store->header.nr_bitmaps; i++)
		r = meta_fill(resize->writer, &store->bitmaps[i]) ?:
		    resize_bitmap(resize, &store->bitmaps[i]);
	if (!r)
		r = resize_l1(resize);
	if (!r)
		r = place_directory(resize, extension);
	qcow2_set_size(to, resize->bytes);
	/* The first write has cleared bits of it. */
	to->autoclear_features =
		((struct qcow2_header *)store->first_cluster)->autoclear_features;
	return r ? r : meta_sync(resize->writer);
}

static int resize_store(struct resize *resize, size_t extension)
{
	struct meta_writer *writer = resize->writer;
	int r = prepare(resize, extension);

	if (r) {
		free_all(resize, &resize->new);
		return r;
	}
	memcpy(writer->store.first_cluster, resize->sector, SECTOR_BYTES);
	r = meta_write_sync(writer, 0, resize->sector, SECTOR_BYTES);
	if (!r)
		r = free_all(resize, &resize->old);
	return r ? r : meta_sync(writer);
}

static int check_bitmaps(const struct meta_store *store, uint64_t bytes)
{
	char name[QCOW2_MAX_BITMAP_NAME_BYTES + 1];
	struct meta_bitmap bitmap = { .name = name };
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < store->header.nr_bitmaps; i++) {
		const struct qcow2_store_bitmap *entry =
			&store->bitmaps[i].entry;

		memcpy(name, entry->name, entry->name_bytes);
		name[entry->name_bytes] = '\0';
		bitmap.granularity = 1ULL << entry->granularity_bits;
		r = meta_check_bitmap(bytes, &bitmap);
	}
	return r ? -EINVAL : 0;
}

static int check(const struct meta_store *store, uint64_t bytes,
		 size_t *extension)
{
	uint32_t extension_bytes;

	if (!bytes || bytes % SECTOR_BYTES) {
		error("size %" PRIu64 ": it must be a multiple of 512 bytes, and not 0",
		      bytes);
		return -EINVAL;
	}
	if (!store->header.state_offset || !store->header.generations_offset) {
		error("%s: is not a store for the tracking of changes: only those can be resized",
		      store->path);
		return -EINVAL;
	}
	if (!store->header.bitmaps_valid) {
		error("%s: the bitmaps are out of date: the image was written by something that does not know them",
		      store->path);
		return -EINVAL;
	}
	*extension = meta_find_extension(store, QCOW2_EXT_BITMAPS,
					 &extension_bytes);
	if (*extension && *extension + extension_bytes > SECTOR_BYTES) {
		error("%s: its header has grown and cannot be changed in one write; make a new store: dmlive meta format",
		      store->path);
		return -EINVAL;
	}
	return check_bitmaps(store, bytes);
}

static int resize(struct meta_writer *writer, uint64_t bytes)
{
	struct meta_store *store = &writer->store;
	struct resize resize = {
		.writer = writer,
		.old_bytes = store->header.size_bytes,
		.bytes = bytes,
	};
	size_t extension;
	int r;

	r = check(store, bytes, &extension);
	if (r || bytes == resize.old_bytes)
		return r;
	r = meta_finish_updating(writer);
	if (r)
		return r;
	qcow2_store_set_flags(store->first_cluster + store->header.state_offset,
			      store->header.state_flags);
	resize.directory = malloc(store->header.directory_bytes + 1);
	if (!resize.directory)
		return no_memory();
	memcpy(resize.directory, store->directory,
	       store->header.directory_bytes);
	r = resize_store(&resize, extension);
	free(resize.directory);
	free(resize.new.list);
	free(resize.old.list);
	return r;
}

int meta_resize(const char *path, uint64_t bytes)
{
	struct meta_writer writer;
	int r;

	r = meta_writer_open(path, META_WRITER_REFCOUNTS, &writer);
	if (r)
		return r;
	r = resize(&writer, bytes);
	meta_writer_close(&writer);
	return r;
}
