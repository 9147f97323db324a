// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O of a copy under way, between the devices and the buffer that its extents share.
 */
#include <linux/blkdev.h>

#include "blocks.h"
#include "cbw.h"
#include "chunk.h"
#include "dm-live/copier.h"

/* The offset of @block in the buffer. It may be the block after the last. */
static size_t offset_of(const struct cbw_chunk *chunk,
			const struct cbw_extent *extent, u64 block)
{
	const struct cbw_session *session = chunk->session;

	/* Only the last block of the device may be short. */
	return extent->index * cbw_block_bytes(session) +
	       (cbw_range_sectors(session, extent->first,
				  block - extent->first) << SECTOR_SHIFT);
}

static size_t bytes_of(const struct cbw_chunk *chunk, u64 block, u64 end)
{
	return cbw_range_sectors(chunk->session, block, end - block) <<
	       SECTOR_SHIFT;
}

static bool is_zero_block(const struct cbw_chunk *chunk,
			  const struct cbw_extent *extent, u64 block)
{
	return dm_live_data_is_zero(chunk->data, offset_of(chunk, extent, block),
				    bytes_of(chunk, block, block + 1));
}

u64 cbw_chunk_zero_run(const struct cbw_chunk *chunk,
		       const struct cbw_extent *extent, u64 block, bool *zero)
{
	u64 end = extent->first + extent->nr;
	u64 next = block + 1;

	*zero = is_zero_block(chunk, extent, block);
	while (next < end && is_zero_block(chunk, extent, next) == *zero)
		next++;
	return next;
}

void cbw_chunk_rw(struct cbw_chunk *chunk, const struct cbw_extent *extent,
		  blk_opf_t opf, struct block_device *bdev, sector_t sector,
		  u64 block, u64 end)
{
	dm_live_batch_rw(&chunk->batch, opf, bdev, sector, chunk->data,
			 offset_of(chunk, extent, block),
			 bytes_of(chunk, block, end));
}

void cbw_chunk_zero_block(struct cbw_chunk *chunk,
			  const struct cbw_extent *extent, u64 block)
{
	dm_live_data_zero(chunk->data, offset_of(chunk, extent, block),
			  bytes_of(chunk, block, block + 1));
}

static void zero_target(struct cbw_chunk *chunk,
			const struct cbw_extent *extent, u64 block, u64 end)
{
	struct cbw_session *session = chunk->session;
	sector_t sector = cbw_block_to_sector(session, block);

	if (READ_ONCE(session->target_lacks_write_zeroes) ||
	    !bdev_write_zeroes_sectors(session->target_bdev)) {
		cbw_chunk_rw(chunk, extent, REQ_OP_WRITE, session->target_bdev,
			     sector, block, end);
		return;
	}
	chunk->used_write_zeroes = true;
	dm_live_batch_zero(&chunk->batch, session->target_bdev, sector,
			   cbw_range_sectors(session, block, end - block), 0);
}

blk_status_t
cbw_chunk_run(struct cbw_chunk *chunk,
	      blk_status_t (*submit)(struct cbw_chunk *chunk,
				     const struct cbw_extent *extent))
{
	blk_status_t status = BLK_STS_OK, batch_status;
	const struct cbw_extent *extent;
	struct blk_plug plug;

	dm_live_batch_begin(&chunk->batch, chunk->copier);
	blk_start_plug(&plug);
	cbw_for_each_extent(extent, chunk) {
		status = submit(chunk, extent);
		if (status)
			break;
	}
	blk_finish_plug(&plug);
	batch_status = dm_live_batch_wait(&chunk->batch);
	return batch_status ?: status;
}

static blk_status_t submit_to_target(struct cbw_chunk *chunk,
				     const struct cbw_extent *extent)
{
	struct cbw_session *session = chunk->session;
	u64 block = extent->first, next;
	bool zero;

	for (; block < extent->first + extent->nr; block = next) {
		next = cbw_chunk_zero_run(chunk, extent, block, &zero);
		if (zero)
			zero_target(chunk, extent, block, next);
		else
			cbw_chunk_rw(chunk, extent, REQ_OP_WRITE,
				     session->target_bdev,
				     cbw_block_to_sector(session, block), block,
				     next);
	}
	return BLK_STS_OK;
}

blk_status_t cbw_chunk_write_target(struct cbw_chunk *chunk)
{
	blk_status_t status = cbw_chunk_run(chunk, submit_to_target);

	if (status && chunk->used_write_zeroes) {
		/* Some devices find out only now that they do not support it. */
		WRITE_ONCE(chunk->session->target_lacks_write_zeroes, true);
		status = cbw_chunk_run(chunk, submit_to_target);
	}
	return status;
}

void cbw_end_reading(struct cbw_session *session)
{
	spin_lock_irq(&session->lock);
	if (!--session->nr_reading)
		wake_up_all(&session->wait);
	spin_unlock_irq(&session->lock);
}
