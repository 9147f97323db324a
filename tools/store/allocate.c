// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocation of clusters, see allocate.h. What is free is read once from all
 * refcounts; the first fit is taken. A crash at any moment leaks clusters at worst:
 * a refcount is durable before anything leads to its cluster, and a refcount block
 * before the table leads to it.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/refcounts.h"
#include "../dm-live/qcow2/tables.h"
#include "base/log.h"
#include "store/allocate.h"

/*
 * @used: a bit for each cluster of the image as it was; those behind are free,
 *	but for what was allocated since: they are below @next
 * @next: no cluster from here on was allocated since
 */
struct meta_allocator {
	unsigned int refcount_order;	/* a refcount has 1 << order bits */
	uint64_t nr_refcount_entries;
	uint8_t *refcount_table;	/* as on disk */
	uint64_t nr_clusters;
	uint8_t *used;
	uint64_t next;
};

static uint64_t per_block(const struct meta_writer *writer)
{
	uint64_t nr = qcow2_refcounts_in(writer->cluster_bytes,
					 writer->allocator->refcount_order);

	assert(nr);
	return nr;
}

static uint64_t refcount_block(const struct meta_allocator *allocator,
			       uint64_t index)
{
	return qcow2_get_entry(allocator->refcount_table, index);
}

static bool is_used(const struct meta_allocator *allocator, uint64_t cluster)
{
	if (cluster >= allocator->nr_clusters)
		return cluster < allocator->next;
	return allocator->used[cluster / 8] >> cluster % 8 & 1;
}

static void set_used(struct meta_allocator *allocator, uint64_t cluster)
{
	if (cluster >= allocator->nr_clusters)
		allocator->next = cluster + 1;
	else
		allocator->used[cluster / 8] |= 1U << cluster % 8;
}

static int load_block(struct meta_writer *writer, uint64_t index)
{
	struct meta_allocator *allocator = writer->allocator;
	uint64_t first = index * per_block(writer), i;
	int r;

	if (!refcount_block(allocator, index))
		return 0;
	r = meta_read(writer, refcount_block(allocator, index),
		      writer->cluster, writer->cluster_bytes);
	for (i = 0; !r && i < per_block(writer) &&
	     first + i < allocator->nr_clusters; i++)
		if (qcow2_get_refcount(writer->cluster, i,
				       allocator->refcount_order))
			set_used(allocator, first + i);
	return r;
}

static int load(struct meta_writer *writer)
{
	const struct qcow2_store_header *header = &writer->store.header;
	struct meta_allocator *allocator;
	uint64_t i;
	int r;

	allocator = calloc(1, sizeof(*allocator));
	if (!allocator)
		goto no_memory;
	writer->allocator = allocator;
	allocator->refcount_order = header->refcount_order;
	allocator->nr_refcount_entries = qcow2_store_refcount_entries(header);
	allocator->refcount_table = malloc(header->refcount_table_bytes);
	/* The last cluster of a file may be incomplete. */
	allocator->nr_clusters =
		(header->device_bytes + writer->is_file *
		 (writer->cluster_bytes - 1)) >> header->cluster_bits;
	allocator->used = calloc(allocator->nr_clusters / 8 + 1, 1);
	if (!allocator->refcount_table || !allocator->used)
		goto no_memory;
	r = meta_read(writer, header->refcount_table_offset,
		      allocator->refcount_table, header->refcount_table_bytes);
	for (i = 0; !r && i < allocator->nr_refcount_entries &&
	     i * per_block(writer) < allocator->nr_clusters; i++)
		r = load_block(writer, i);
	return r;
no_memory:
	error("out of memory");
	return -ENOMEM;
}

void meta_allocator_free(struct meta_allocator *allocator)
{
	if (!allocator)
		return;
	free(allocator->refcount_table);
	free(allocator->used);
	free(allocator);
}

/* Change the refcount of a cluster that has a refcount block, by one. */
static int change_refcount(struct meta_writer *writer, uint64_t cluster,
			   bool allocate)
{
	const unsigned int order = writer->allocator->refcount_order;
	const unsigned int bytes = order > 3 ? 1U << (order - 3) : 1;
	uint64_t index = cluster % per_block(writer), value;
	/* As many refcounts as are in @bytes bytes. */
	uint64_t group = index / qcow2_refcounts_in(bytes, order);
	uint64_t offset = refcount_block(writer->allocator,
					 cluster / per_block(writer)) +
			  group * bytes;
	uint8_t data[8];
	int r;

	r = meta_read(writer, offset, data, bytes);
	if (r)
		return r;
	index -= group * qcow2_refcounts_in(bytes, order);
	value = qcow2_get_refcount(data, index, order);
	if (!allocate && !value)
		return 0;
	/* Behind the end of the image there may be a stale refcount. */
	qcow2_put_refcount(data, index, order, allocate ? 1 : value - 1);
	return meta_write(writer, offset, data, bytes);
}

static int check_room(struct meta_writer *writer, uint64_t cluster)
{
	uint64_t end = (cluster + 1) * writer->cluster_bytes;

	if (cluster / per_block(writer) >=
	    writer->allocator->nr_refcount_entries) {
		error("%s: its refcount table is full: make an image with larger clusters (qemu-img create -o cluster_size=64k) and add the bitmaps to that",
		      writer->store.path);
		return -EINVAL;
	}
	if (!writer->is_file && end > writer->store.header.device_bytes) {
		error("%s: the device is too small for all clusters of the bitmaps; dmlive meta size tells how large it must be",
		      writer->store.path);
		return -ENOSPC;
	}
	return 0;
}

/* A new refcount block at @cluster, which is free and which it counts itself. */
static int add_refcount_block(struct meta_writer *writer, uint64_t cluster)
{
	struct meta_allocator *allocator = writer->allocator;
	uint64_t index = cluster / per_block(writer);
	uint64_t offset = cluster * writer->cluster_bytes;
	uint8_t *block = calloc(1, writer->cluster_bytes);
	uint8_t entry[sizeof(__be64)];
	int r;

	if (!block) {
		error("out of memory");
		return -ENOMEM;
	}
	qcow2_put_refcount(block, cluster % per_block(writer),
			   allocator->refcount_order, 1);
	r = meta_write(writer, offset, block, writer->cluster_bytes);
	free(block);
	if (!r)
		r = meta_sync(writer);
	qcow2_put_entry(entry, 0, offset);
	if (!r)
		r = meta_write_sync(writer,
				    writer->store.header.refcount_table_offset +
				    index * sizeof(entry), entry,
				    sizeof(entry));
	if (r)
		return r;
	qcow2_put_entry(allocator->refcount_table, index, offset);
	set_used(allocator, cluster);
	return 0;
}

/* The first of @nr free clusters; all of them have a refcount block then. */
static int find_free(struct meta_writer *writer, uint64_t nr, uint64_t *first)
{
	struct meta_allocator *allocator = writer->allocator;
	uint64_t cluster = 1, run = 0;
	int r;

	while (run < nr) {
		if (is_used(allocator, cluster)) {
			run = 0;
			cluster++;
			continue;
		}
		r = check_room(writer, cluster);
		if (r)
			return r;
		if (!refcount_block(allocator, cluster / per_block(writer))) {
			r = add_refcount_block(writer, cluster);
			if (r)
				return r;
			continue;
		}
		run++;
		cluster++;
	}
	*first = cluster - nr;
	return 0;
}

int meta_allocate(struct meta_writer *writer, uint64_t nr, uint64_t *offset)
{
	uint64_t first, i;
	int r;

	r = writer->allocator ? 0 : load(writer);
	if (!r)
		r = find_free(writer, nr, &first);
	for (i = 0; !r && i < nr; i++) {
		r = change_refcount(writer, first + i, true);
		set_used(writer->allocator, first + i);
	}
	if (r)
		return r;
	writer->nr_allocated += nr;
	*offset = first * writer->cluster_bytes;
	return 0;
}

int meta_free(struct meta_writer *writer, uint64_t offset, uint64_t nr)
{
	uint64_t first = offset / writer->cluster_bytes, i;
	int r;

	r = writer->allocator ? 0 : load(writer);
	for (i = 0; !r && i < nr; i++)
		r = change_refcount(writer, first + i, false);
	return r;
}
