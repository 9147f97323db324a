// SPDX-License-Identifier: GPL-2.0-only
/*
 * The job's copy in a session that has a fleece device and a target: from the
 * slot of a block where it has one, else from the origin.
 *
 * Guest writes do not wait for it: they have their blocks copied to slots, also
 * those that the job is at. So what it reads from the origin may be overwritten
 * before it has read it; but never before the block is in a slot and its todo bit
 * clear. Blocks whose bit is clear after the read are therefore read again, from
 * their slots, which only the job gives back: that is final.
 */
#include <linux/blkdev.h>

#include "cbw.h"

static void submit_read(struct cbw_chunk *chunk, struct block_device *bdev,
			sector_t sector, u64 block, u64 end)
{
	size_t from = cbw_chunk_bytes_to(chunk, block);

	dm_live_batch_rw(&chunk->batch, REQ_OP_READ, bdev, sector, chunk->data,
			 from, cbw_chunk_bytes_to(chunk, end) - from);
}

static blk_status_t read_origin(struct cbw_chunk *chunk, u64 end)
{
	struct cbw_session *session = chunk->session;
	u64 block = chunk->first, next;

	dm_live_batch_begin(&chunk->batch, session->copier);
	for (;; block = next) {
		block = dm_live_bitmap_next_set(session->todo, block, end);
		if (block == end)
			break;
		next = dm_live_bitmap_next_clear(session->todo, block, end);
		submit_read(chunk, session->origin,
			    cbw_block_to_sector(session, block), block, next);
	}
	return dm_live_batch_wait(&chunk->batch);
}

/* What was not on the origin, or is there no more, has a slot by now. */
static void note_slots(struct cbw_chunk *chunk, u64 end)
{
	struct cbw_session *session = chunk->session;
	u64 block;

	spin_lock_irq(&session->lock);
	for (block = chunk->first; block < end; block++)
		if (!dm_live_bitmap_test(session->todo, block))
			chunk->slots[block - chunk->first] =
				cbw_fleece_get(session->fleece, block);
	spin_unlock_irq(&session->lock);
}

/* Where the run of slots ends that begins with @block. */
static u64 slot_run(const struct cbw_chunk *chunk, u64 block, u64 end)
{
	const u32 *slots = &chunk->slots[block - chunk->first];
	u64 nr = 1;

	while (block + nr < end && slots[nr] == slots[0] + nr)
		nr++;
	return block + nr;
}

static blk_status_t read_slots(struct cbw_chunk *chunk, u64 end)
{
	struct cbw_session *session = chunk->session;
	u64 block = chunk->first, next;

	dm_live_batch_begin(&chunk->batch, session->copier);
	for (; block < end; block = next) {
		u32 slot = chunk->slots[block - chunk->first];
		size_t from = cbw_chunk_bytes_to(chunk, block);

		next = block + 1;
		if (slot == CBW_SLOT_NONE)
			continue;
		if (slot == CBW_SLOT_ZERO) {
			dm_live_data_zero(chunk->data, from,
					  cbw_chunk_bytes_to(chunk, next) -
					  from);
			continue;
		}
		next = slot_run(chunk, block, end);
		submit_read(chunk, session->store_bdev,
			    cbw_block_to_sector(session, slot), block, next);
	}
	return dm_live_batch_wait(&chunk->batch);
}

void cbw_transfer(struct cbw_chunk *chunk, u64 end, struct cbw_result *result)
{
	u64 i;

	result->where = "origin";
	result->read_status = read_origin(chunk, end);
	cbw_end_reading(chunk->session);
	if (result->read_status)
		return;

	note_slots(chunk, end);
	result->where = "fleece device, for the block";
	result->read_status = read_slots(chunk, end);
	/* They are still in use. */
	for (i = 0; i < end - chunk->first; i++)
		chunk->slots[i] = CBW_SLOT_NONE;
	if (result->read_status)
		return;

	result->where = "target";
	result->write_status = cbw_chunk_write_target(chunk, end);
}

void cbw_transfer_commit(struct cbw_chunk *chunk, u64 block)
{
	struct cbw_session *session = chunk->session;

	lockdep_assert_held(&session->lock);
	chunk->slots[block - chunk->first] =
		cbw_fleece_get(session->fleece, block);
	cbw_fleece_set(session->fleece, block, CBW_SLOT_NONE);
	dm_live_bitmap_clear_range(session->todo, block, 1);
	dm_live_bitmap_clear_range(session->left, block, 1);
}
