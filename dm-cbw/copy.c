// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copying blocks to the store.
 *
 * Only the copier that has claimed a block copies it. While its todo bit is set, no
 * guest write to it is submitted, so the origin still has the old data. Once the
 * store has the data, the exclusive range lock is taken, which waits for views that
 * read the origin, and the bit is cleared. So a store that hangs blocks no view.
 *
 * A copy has one or more extents anywhere on the device. All of them are read at the
 * same time, then all are written, then all are committed. They share a buffer and
 * the result: if any I/O fails, the copy is repeated block by block.
 */
#include <linux/blkdev.h>
#include <linux/ktime.h>

#include "blocks.h"
#include "cbw.h"
#include "chunk.h"
#include "claims.h"
#include "copy.h"
#include "fleece.h"
#include "transfer.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"
#include "dm-live/core/range-lock.h"

/* Stores the slots in chunk->slots; the caller frees them. */
static blk_status_t submit_to_slots(struct cbw_chunk *chunk,
				    const struct cbw_extent *extent)
{
	struct cbw_session *session = chunk->session;
	u64 block = extent->first, next;
	bool zero;

	for (; block < extent->first + extent->nr; block = next) {
		u32 *slots = &chunk->slots[extent->index + block -
					   extent->first];
		unsigned int nr, i;
		u32 slot;

		next = cbw_chunk_zero_run(chunk, extent, block, &zero);
		if (zero) {
			for (i = 0; i < next - block; i++)
				slots[i] = CBW_SLOT_ZERO;
			continue;
		}
		nr = cbw_fleece_alloc(session, next - block, &slot);
		if (!nr)
			return BLK_STS_NOSPC;
		for (i = 0; i < nr; i++)
			slots[i] = slot + i;
		next = block + nr;
		cbw_chunk_rw(chunk, extent, REQ_OP_WRITE, session->store_bdev,
			     cbw_block_to_sector(session, slot), block, next);
	}
	return BLK_STS_OK;
}

/* Returns false if the session is suspended or over. */
static bool begin_copying(struct cbw_session *session)
{
	bool running;

	spin_lock_irq(&session->lock);
	running = session->running && session->state == CBW_ACTIVE;
	session->nr_reading += running;
	session->nr_copying += running;
	spin_unlock_irq(&session->lock);
	return running;
}

/* The copy has no I/O in flight any more. */
static void end_copying(struct cbw_session *session)
{
	spin_lock_irq(&session->lock);
	if (!--session->nr_copying)
		wake_up_all(&session->wait);
	spin_unlock_irq(&session->lock);
}

static blk_status_t submit_from_origin(struct cbw_chunk *chunk,
				       const struct cbw_extent *extent)
{
	struct cbw_session *session = chunk->session;

	cbw_chunk_rw(chunk, extent, REQ_OP_READ, session->origin,
		     cbw_block_to_sector(session, extent->first), extent->first,
		     extent->first + extent->nr);
	return BLK_STS_OK;
}

static void copy_to_store(struct cbw_chunk *chunk, struct cbw_result *result)
{
	struct cbw_session *session = chunk->session;

	result->where = "origin";
	result->read_status = cbw_chunk_run(chunk, submit_from_origin);
	cbw_end_reading(session);
	if (result->read_status)
		return;
	if (session->fleece) {
		result->where = "fleece device, for the block";
		result->write_status = cbw_chunk_run(chunk, submit_to_slots);
	} else {
		result->where = "target";
		result->write_status = cbw_chunk_write_target(chunk);
	}
}

/*
 * The store has the blocks: all writes succeeded. Mark those that are still in todo
 * as copied.
 */
static void commit(struct cbw_chunk *chunk, const struct cbw_extent *extent)
{
	struct cbw_session *session = chunk->session;
	u64 end = extent->first + extent->nr;
	u64 block;

	lockdep_assert_held(&session->lock);
	if (session->fleece) {
		u32 *slots = &chunk->slots[extent->index];

		for (block = dm_live_bitmap_next_set(session->todo,
						     extent->first, end);
		     block < end;
		     block = dm_live_bitmap_next_set(session->todo, block + 1,
						     end)) {
			cbw_fleece_set(session->fleece, block,
				       slots[block - extent->first]);
			slots[block - extent->first] = CBW_SLOT_NONE;
		}
	}
	dm_live_bitmap_clear_range(session->todo, extent->first, extent->nr);
}

/*
 * If the session broke in the meantime, guest writes may have been submitted, and the
 * data is worthless. One range lock at a time: the holder of a range must not wait for
 * another range.
 */
static void commit_all(struct cbw_copier *copier, struct cbw_chunk *chunk)
{
	struct cbw_session *session = chunk->session;
	const struct cbw_extent *extent;
	struct dm_live_range range;

	cbw_for_each_extent(extent, chunk) {
		dm_live_range_acquire_wait(session->ranges, &range,
					   extent->first,
					   extent->first + extent->nr - 1,
					   DM_LIVE_RANGE_EXCLUSIVE);
		spin_lock_irq(&session->lock);
		if (session->state == CBW_ACTIVE) {
			if (cbw_is_transfer(copier))
				cbw_transfer_commit(chunk, extent);
			else
				commit(chunk, extent);
		}
		session->progress_ns = ktime_get_ns();
		spin_unlock_irq(&session->lock);
		dm_live_range_release(session->ranges, &range);
	}
}

static bool copy_extents(struct cbw_copier *copier,
			 const struct cbw_extent *extents,
			 unsigned int nr_extents, u64 nr_blocks,
			 struct cbw_result *result)
{
	struct cbw_session *session = copier->session;
	struct dm_live_buffer *buffer;
	struct cbw_chunk chunk = {
		.session = session,
		.extents = extents,
		.nr_extents = nr_extents,
		.slots = copier->slots,
		.copier = cbw_is_transfer(copier) ? session->transfer_copier :
						    session->copier,
	};
	bool begun;
	u64 i;

	*result = (struct cbw_result) { };
	for (i = 0; i < nr_blocks; i++)
		chunk.slots[i] = CBW_SLOT_NONE;
	buffer = dm_live_buffer_get(chunk.copier,
				    nr_blocks * cbw_block_bytes(session));
	chunk.data = &buffer->data;
	begun = begin_copying(session);
	if (begun && cbw_is_transfer(copier))
		cbw_transfer(&chunk, result);
	else if (begun)
		copy_to_store(&chunk, result);
	/* Before waiting for a lock, see dm_live_buffer_get(). */
	dm_live_buffer_put(chunk.copier, buffer);
	if (!begun)
		return false;
	end_copying(session);

	if (!cbw_result_status(result))
		commit_all(copier, &chunk);
	if (session->fleece)
		for (i = 0; i < nr_blocks; i++)
			cbw_fleece_free(session, chunk.slots[i]);
	return true;
}

static bool copy_block(struct cbw_copier *copier, u64 block,
		       struct cbw_result *result)
{
	const struct cbw_extent extent = { .first = block, .nr = 1 };

	return copy_extents(copier, &extent, 1, 1, result);
}

/* Block by block, to find those that fail. For a single block that is @result. */
static u64 copy_singly(struct cbw_copier *copier, struct cbw_result *result,
		       bool (*may_go_on)(struct cbw_session *session),
		       cbw_copy_failed_fn failed)
{
	bool single = cbw_nr_claimed(copier) == 1;
	struct cbw_session *session = copier->session;
	const struct cbw_extent *extent = copier->extents;
	u64 block;

	for (; extent < copier->extents + copier->nr_extents; extent++) {
		for (block = extent->first; block < extent->first + extent->nr;
		     block++) {
			if (!may_go_on(session) ||
			    (!single && !copy_block(copier, block, result)))
				return block;
			if (cbw_result_status(result))
				failed(session, block, result);
		}
	}
	return CBW_NO_BLOCK;
}

u64 cbw_copy_claims(struct cbw_copier *copier,
		    bool (*may_go_on)(struct cbw_session *session),
		    cbw_copy_failed_fn failed)
{
	struct cbw_result result;

	if (!copy_extents(copier, copier->extents, copier->nr_extents,
			  cbw_nr_claimed(copier), &result))
		return copier->extents[0].first;
	if (!cbw_result_status(&result))
		return CBW_NO_BLOCK;
	return copy_singly(copier, &result, may_go_on, failed);
}

void cbw_count_error(struct cbw_session *session, u64 first,
		     const struct cbw_result *result)
{
	bool is_read = result->read_status;

	DMERR_LIMIT("%s: copy: error %d on the %s at sector %llu",
		    session->name,
		    blk_status_to_errno(cbw_result_status(result)),
		    result->where, (u64)cbw_block_to_sector(session, first));
	atomic64_inc(is_read ? &session->source_errors :
			       &session->target_errors);
}
