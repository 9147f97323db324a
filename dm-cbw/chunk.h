/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_CHUNK_H
#define DM_CBW_CHUNK_H

/* A copy under way: its buffer, its extents and their I/O, and its outcome. */

#include <linux/blk_types.h>
#include <linux/types.h>

#include "dm-live/copier.h"

struct cbw_extent;
struct cbw_session;

/**
 * struct cbw_chunk - a copy under way
 * @data: buffer for the blocks of all extents, in the order of their indexes
 * @extents: what is copied
 * @slots: slots of the blocks on the fleece device, by index
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
 * cbw_chunk_rw - submit the I/O of consecutive blocks
 * @opf: REQ_OP_READ or REQ_OP_WRITE
 * @sector: where the first block is on @bdev
 * @block: the first block, in @extent
 * @end: the block after the last
 */
void cbw_chunk_rw(struct cbw_chunk *chunk, const struct cbw_extent *extent,
		  blk_opf_t opf, struct block_device *bdev, sector_t sector,
		  u64 block, u64 end);

/** cbw_chunk_zero_block - fill the data of a block with zeros */
void cbw_chunk_zero_block(struct cbw_chunk *chunk,
			  const struct cbw_extent *extent, u64 block);

/**
 * cbw_chunk_zero_run - find the end of a run of blocks that are all zero, or all not
 * @block: the first
 * @zero: out: are they zero?
 * Return: the block after the run, at most the end of @extent.
 */
u64 cbw_chunk_zero_run(const struct cbw_chunk *chunk,
		       const struct cbw_extent *extent, u64 block, bool *zero);

/**
 * cbw_chunk_run - submit the I/O of each extent, and wait for all of it
 * @submit: submits the I/O of one extent; after a failure, the rest is not submitted
 * Return: the error of the I/O, else the result of @submit.
 */
blk_status_t
cbw_chunk_run(struct cbw_chunk *chunk,
	      blk_status_t (*submit)(struct cbw_chunk *chunk,
				     const struct cbw_extent *extent));

/** cbw_chunk_write_target - write all of it to the target, and wait */
blk_status_t cbw_chunk_write_target(struct cbw_chunk *chunk);

/**
 * struct cbw_result - the outcome of a copy
 * @read_status: of reading the origin, or the fleece device in a transfer
 * @write_status: of writing the target or fleece device
 * @where: the device that failed
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

/** cbw_end_reading - the copy will not read the origin any more */
void cbw_end_reading(struct cbw_session *session);

#endif /* DM_CBW_CHUNK_H */
