/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_CHUNK_H
#define DM_CBW_CHUNK_H

/* A copy under way: its buffer, its extents and their I/O, and what became of it. */

#include <linux/blk_types.h>
#include <linux/types.h>

#include "dm-live/copier.h"

struct cbw_extent;
struct cbw_session;

/**
 * struct cbw_chunk - a copy under way
 * @data: the blocks of all extents, in the order of their indexes
 * @extents: what is copied
 * @slots: of the blocks, in the fleece device, by index
 * @batch: the requests in flight
 */
struct cbw_chunk {
	struct cbw_session *session;
	struct dm_live_copier *copier;
	const struct dm_live_data *data;
	const struct cbw_extent *extents;
	unsigned int nr_extents;
	u32 *slots;
	bool used_write_zeroes;
	struct dm_live_batch batch;
};

#define cbw_for_each_extent(extent, chunk)				\
	for ((extent) = (chunk)->extents;				\
	     (extent) < (chunk)->extents + (chunk)->nr_extents; (extent)++)

/**
 * cbw_chunk_rw - submit the I/O of blocks that follow each other
 * @opf: REQ_OP_READ or REQ_OP_WRITE
 * @sector: where the first is on @bdev
 * @block: the first, in @extent
 * @end: the one after the last
 */
void cbw_chunk_rw(struct cbw_chunk *chunk, const struct cbw_extent *extent,
		  blk_opf_t opf, struct block_device *bdev, sector_t sector,
		  u64 block, u64 end);

/** cbw_chunk_zero_block - the block is zero: so the data */
void cbw_chunk_zero_block(struct cbw_chunk *chunk,
			  const struct cbw_extent *extent, u64 block);

/**
 * cbw_chunk_zero_run - how far the blocks from @block on are alike: zero, or not
 * @zero: out: are they zero?
 * Return: the block after them, in @extent.
 */
u64 cbw_chunk_zero_run(const struct cbw_chunk *chunk,
		       const struct cbw_extent *extent, u64 block, bool *zero);

/**
 * cbw_chunk_run - submit the I/O of each extent, and wait for all of it
 * @submit: of one extent; after a failure the rest is not submitted
 * Return: what the I/O ended with, else what @submit did.
 */
blk_status_t
cbw_chunk_run(struct cbw_chunk *chunk,
	      blk_status_t (*submit)(struct cbw_chunk *chunk,
				     const struct cbw_extent *extent));

/** cbw_chunk_write_target - write all of it to the target, and wait */
blk_status_t cbw_chunk_write_target(struct cbw_chunk *chunk);

/**
 * struct cbw_result - what became of a copy
 * @read_status: of the origin, or the fleece device from which the job copies
 * @write_status: of the target or fleece device
 * @where: which device failed
 */
struct cbw_result {
	const char *where;
	blk_status_t read_status;
	blk_status_t write_status;
};

static inline blk_status_t cbw_result_status(const struct cbw_result *result)
{
	return result->read_status ?: result->write_status;
}

/** cbw_end_reading - a copy will not touch the origin any more */
void cbw_end_reading(struct cbw_session *session);

#endif /* DM_CBW_CHUNK_H */
