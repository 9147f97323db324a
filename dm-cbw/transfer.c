// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transfers: the job's copies in a session with a fleece device and a target. A block is
 * read from its slot if it has one, else from the origin.
 *
 * Guest writes do not wait for a transfer: their blocks are copied to slots, even those
 * that the job is copying. So a guest write may overwrite a block on the origin before the
 * job has read it, but not before the block is in a slot and its todo bit is clear.
 * Therefore blocks whose bit is clear after the read are read again from their slots. Only
 * the job frees these, so the second read is final.
 */
#include <linux/blkdev.h>

#include "blocks.h"
#include "cbw.h"
#include "chunk.h"
#include "fleece.h"
#include "transfer.h"
#include "dm-live/core/bitmap.h"

static blk_status_t submit_from_origin(struct cbw_chunk *chunk,
				       const struct cbw_extent *extent)
{
	struct cbw_session *session = chunk->session;
	u64 block = extent->first, end = block + extent->nr, next;

	for (;; block = next) {
		block = dm_live_bitmap_next_set(session->todo, block, end);
		if (block == end)
			return BLK_STS_OK;
		/* A copy for a guest write may have cleared the first bit. */
		next = dm_live_bitmap_next_clear(session->todo, block + 1, end);
		cbw_chunk_rw(chunk, extent, REQ_OP_READ, session->origin,
			     cbw_block_to_sector(session, block), block, next);
	}
}

/* Blocks that were not on the origin, or are not any more, have slots by now. */
static void note_slots(struct cbw_chunk *chunk)
{
	struct cbw_session *session = chunk->session;
	const struct cbw_extent *extent;
	u64 i;

	spin_lock_irq(&session->lock);
	cbw_for_each_extent(extent, chunk)
		for (i = 0; i < extent->nr; i++)
			if (!dm_live_bitmap_test(session->todo,
						 extent->first + i))
				chunk->slots[extent->index + i] =
					cbw_fleece_get(session->fleece,
						       extent->first + i);
	spin_unlock_irq(&session->lock);
}

/* The end of the run of consecutive slots that begins with @block. */
static u64 slot_run(const u32 *slots, u64 block, u64 end)
{
	u64 nr = 1;

	while (block + nr < end && slots[nr] == slots[0] + nr)
		nr++;
	return block + nr;
}

static blk_status_t submit_from_slots(struct cbw_chunk *chunk,
				      const struct cbw_extent *extent)
{
	struct cbw_session *session = chunk->session;
	u64 block = extent->first, end = block + extent->nr, next;

	for (; block < end; block = next) {
		const u32 *slots = &chunk->slots[extent->index + block -
						 extent->first];

		next = block + 1;
		if (slots[0] == CBW_SLOT_NONE)
			continue;
		if (slots[0] == CBW_SLOT_ZERO) {
			cbw_chunk_zero_block(chunk, extent, block);
			continue;
		}
		next = slot_run(slots, block, end);
		cbw_chunk_rw(chunk, extent, REQ_OP_READ, session->store_bdev,
			     cbw_block_to_sector(session, slots[0]), block,
			     next);
	}
	return BLK_STS_OK;
}

/* The caller must not free these slots: they stay in use. */
static void forget_slots(struct cbw_chunk *chunk)
{
	const struct cbw_extent *extent;
	u64 i;

	cbw_for_each_extent(extent, chunk)
		for (i = 0; i < extent->nr; i++)
			chunk->slots[extent->index + i] = CBW_SLOT_NONE;
}

void cbw_transfer(struct cbw_chunk *chunk, struct cbw_result *result)
{
	result->where = "origin";
	result->read_status = cbw_chunk_run(chunk, submit_from_origin);
	cbw_end_reading(chunk->session);
	if (result->read_status)
		return;

	note_slots(chunk);
	result->where = "fleece device, for the block";
	result->read_status = cbw_chunk_run(chunk, submit_from_slots);
	forget_slots(chunk);
	if (result->read_status)
		return;

	result->where = "target";
	result->write_status = cbw_chunk_write_target(chunk);
}

void cbw_transfer_commit(struct cbw_chunk *chunk,
			 const struct cbw_extent *extent)
{
	struct cbw_session *session = chunk->session;
	u64 end = extent->first + extent->nr;
	u64 block;

	lockdep_assert_held(&session->lock);
	for (block = dm_live_bitmap_next_set(session->left, extent->first, end);
	     block < end;
	     block = dm_live_bitmap_next_set(session->left, block + 1, end)) {
		chunk->slots[extent->index + block - extent->first] =
			cbw_fleece_take(session->fleece, block);
	}
	dm_live_bitmap_clear_range(session->todo, extent->first, extent->nr);
	dm_live_bitmap_clear_range(session->left, extent->first, extent->nr);
}
