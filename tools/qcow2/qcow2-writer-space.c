// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clusters of a qcow2 file that is being written, and their refcounts.
 *
 * Refcount blocks that are all ones are written at the end. One with more is kept
 * in memory as long as compressed data go into its range, then it is written to
 * the next free cluster: by then every cluster of its range is in use, since
 * space is given out in ascending order.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/refcounts.h"
#include "../dm-live/qcow2/tables.h"
#include "error.h"
#include "qcow2-writer.h"

#define MAX_REFCOUNT UINT16_MAX

static uint64_t cluster_bytes(const struct qcow2_space *space)
{
	return 1ULL << space->cluster_bits;
}

static uint64_t to_clusters(const struct qcow2_space *space, uint64_t bytes)
{
	return (bytes + cluster_bytes(space) - 1) >> space->cluster_bits;
}

static uint64_t block_entries(const struct qcow2_space *space)
{
	return qcow2_refcounts_in(cluster_bytes(space), WRITER_REFCOUNT_ORDER);
}

void space_init(struct qcow2_space *space, struct output *output,
		unsigned int cluster_bits)
{
	*space = (struct qcow2_space) {
		.output = output,
		.cluster_bits = cluster_bits,
		.next_cluster = 1,
	};
}

void space_release(struct qcow2_space *space)
{
	free(space->shared);
	free(space->block_offsets);
}

/*
 * As many clusters as the largest refcount table can describe; and offsets must fit
 * into L2 entries.
 */
static uint64_t max_clusters(const struct qcow2_space *space)
{
	uint64_t by_refcounts = QCOW2_MAX_REFCOUNT_TABLE_BYTES /
				sizeof(uint64_t) * block_entries(space);
	uint64_t by_offset = QCOW2_L2E_OFFSET_MASK >> space->cluster_bits;

	return by_refcounts < by_offset ? by_refcounts : by_offset;
}

static int fail_full(const struct qcow2_space *space, struct image_error *err)
{
	return image_fail(err, -EFBIG,
			  "%s: the file becomes too large for clusters of %llu bytes; choose larger ones",
			  output_path(space->output),
			  (unsigned long long)cluster_bytes(space));
}

int space_clusters(struct qcow2_space *space, uint64_t clusters,
		   uint64_t *offset, struct image_error *err)
{
	if (clusters > max_clusters(space) - space->next_cluster)
		return fail_full(space, err);
	*offset = space->next_cluster << space->cluster_bits;
	space->next_cluster += clusters;
	return 0;
}

/* Write the refcounts of one block; those of unused clusters are zero. */
static int write_block(const struct qcow2_space *space, uint64_t block,
		       const uint16_t *shared, uint64_t offset,
		       uint64_t nr_clusters, struct image_error *err)
{
	uint64_t entries = block_entries(space), i;
	uint64_t first = block * entries;
	void *counts = calloc(1, cluster_bytes(space));
	int ret;

	if (!counts)
		return image_fail_memory(err, output_path(space->output));
	for (i = 0; i < entries && first + i < nr_clusters; i++)
		qcow2_put_refcount(counts, i, WRITER_REFCOUNT_ORDER,
				   shared && shared[i] ? shared[i] : 1);
	ret = output_write(space->output, offset, counts, cluster_bytes(space),
			   err);
	free(counts);
	return ret;
}

static int note_block(struct qcow2_space *space, uint64_t block,
		      uint64_t offset, struct image_error *err)
{
	uint64_t nr = space->nr_block_offsets;
	uint64_t *grown;

	if (block >= nr) {
		nr = block + 1 + nr / 2;
		grown = realloc(space->block_offsets, nr * sizeof(*grown));
		if (!grown)
			return image_fail_memory(err,
						 output_path(space->output));
		memset(grown + space->nr_block_offsets, 0,
		       (nr - space->nr_block_offsets) * sizeof(*grown));
		space->block_offsets = grown;
		space->nr_block_offsets = nr;
	}
	space->block_offsets[block] = offset;
	return 0;
}

/* No compressed data go into the range of the shared block any more. */
static int retire_shared(struct qcow2_space *space, struct image_error *err)
{
	uint64_t offset;
	int ret;

	ret = space_clusters(space, 1, &offset, err);
	if (!ret)
		ret = write_block(space, space->shared_block, space->shared,
				  offset, UINT64_MAX, err);
	if (!ret)
		ret = note_block(space, space->shared_block, offset, err);
	if (ret)
		return ret;
	free(space->shared);
	space->shared = NULL;
	return 0;
}

static int add_reference(struct qcow2_space *space, uint64_t cluster,
			 struct image_error *err)
{
	uint64_t block = cluster / block_entries(space);
	uint16_t *count;
	int ret;

	if (space->shared && space->shared_block != block) {
		ret = retire_shared(space, err);
		if (ret)
			return ret;
	}
	if (!space->shared) {
		space->shared = calloc(block_entries(space),
				       sizeof(*space->shared));
		space->shared_block = block;
	}
	if (!space->shared)
		return image_fail_memory(err, output_path(space->output));
	count = &space->shared[cluster % block_entries(space)];
	/* Never reached in practice: nothing compresses into so few bytes. */
	if (*count == MAX_REFCOUNT)
		return image_fail(err, -EOVERFLOW,
				  "%s: too many compressed clusters in one cluster",
				  output_path(space->output));
	++*count;
	return 0;
}

/* As QEMU does it: go on in the last cluster, if what follows it is free too. */
static int take_bytes(struct qcow2_space *space, uint64_t bytes,
		      uint64_t *offset, struct image_error *err)
{
	uint64_t left = space->tail_end - space->tail_offset;
	uint64_t start, clusters;
	int ret;

	if (bytes > left) {
		if (space->tail_end != space->next_cluster << space->cluster_bits)
			left = 0;
		clusters = to_clusters(space, bytes - left);
		ret = space_clusters(space, clusters, &start, err);
		if (ret)
			return ret;
		if (!left)
			space->tail_offset = start;
		space->tail_end = start + (clusters << space->cluster_bits);
	}
	*offset = space->tail_offset;
	space->tail_offset += bytes;
	if (space->tail_offset > qcow2_compressed_limit(space->cluster_bits))
		return fail_full(space, err);
	return 0;
}

int space_compressed(struct qcow2_space *space, const uint32_t *bytes,
		     unsigned int nr, uint64_t *offset, struct image_error *err)
{
	uint64_t total = 0, at, cluster;
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++)
		total += bytes[i];
	ret = take_bytes(space, total, offset, err);
	at = *offset;
	for (i = 0; !ret && i < nr; at += bytes[i], i++)
		for (cluster = at >> space->cluster_bits;
		     !ret && cluster <= (at + bytes[i] - 1) >> space->cluster_bits;
		     cluster++)
			ret = add_reference(space, cluster, err);
	return ret;
}

/* The table and the blocks count themselves too. */
static uint64_t place_refcounts(struct qcow2_space *space,
				uint64_t nr_written, uint64_t *nr_clusters)
{
	uint64_t blocks = 0, needed = nr_written;

	do {
		blocks = needed;
		space->table_clusters = to_clusters(space,
						    blocks * sizeof(uint64_t));
		*nr_clusters = space->next_cluster + space->table_clusters +
			       blocks - nr_written;
		needed = (*nr_clusters + block_entries(space) - 1) /
			 block_entries(space);
	} while (needed > blocks);
	return blocks;
}

static int write_blocks(struct qcow2_space *space, __be64 *table,
			uint64_t blocks, uint64_t nr_clusters,
			struct image_error *err)
{
	uint64_t offset, block;
	int ret = 0;

	for (block = 0; !ret && block < blocks; block++) {
		offset = block < space->nr_block_offsets ?
			 space->block_offsets[block] : 0;
		if (!offset) {
			ret = space_clusters(space, 1, &offset, err);
			if (!ret)
				ret = write_block(space, block,
						  space->shared &&
						  space->shared_block == block ?
						  space->shared : NULL,
						  offset, nr_clusters, err);
		}
		table[block] = htobe64(offset);
	}
	return ret;
}

int space_finish(struct qcow2_space *space, struct image_error *err)
{
	uint64_t blocks, nr_clusters, nr_written = 0, i;
	__be64 *table;
	int ret;

	for (i = 0; i < space->nr_block_offsets; i++)
		nr_written += !!space->block_offsets[i];
	blocks = place_refcounts(space, nr_written, &nr_clusters);
	if (nr_clusters > max_clusters(space))
		return fail_full(space, err);
	ret = space_clusters(space, space->table_clusters,
			     &space->table_offset, err);
	if (ret)
		return ret;
	table = calloc(space->table_clusters, cluster_bytes(space));
	if (!table)
		return image_fail_memory(err, output_path(space->output));
	ret = write_blocks(space, table, blocks, nr_clusters, err);
	if (!ret)
		ret = output_write(space->output, space->table_offset, table,
				   (uint64_t)space->table_clusters <<
				   space->cluster_bits, err);
	free(table);
	return ret;
}
