// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copy of blocks to the store, and the workers that copy for guest writes.
 *
 * A block is copied by whoever has claimed it. While it is claimed and its todo
 * bit is set, no guest write to it goes down, so the origin has it as it was.
 * Only after the store has the data, the exclusive range lock is taken, which
 * waits for views that read the origin, and the bit is cleared. So a store that
 * hangs holds up no view.
 */
#include <linux/blkdev.h>
#include <linux/ktime.h>

#include "cbw.h"

size_t cbw_chunk_bytes_to(const struct cbw_chunk *chunk, u64 block)
{
	const struct cbw_session *session = chunk->session;

	return (cbw_end_sector(session, block) -
		cbw_block_to_sector(session, chunk->first)) << SECTOR_SHIFT;
}

static bool is_zero_block(const struct cbw_chunk *chunk, u64 block)
{
	size_t from = cbw_chunk_bytes_to(chunk, block);

	return dm_live_data_is_zero(chunk->data, from,
				    cbw_chunk_bytes_to(chunk, block + 1) - from);
}

static u64 zero_run(const struct cbw_chunk *chunk, u64 block, u64 end,
		    bool *zero)
{
	u64 next = block + 1;

	*zero = is_zero_block(chunk, block);
	while (next < end && is_zero_block(chunk, next) == *zero)
		next++;
	return next;
}

static void write_to(struct cbw_chunk *chunk, struct block_device *bdev,
		     u64 block, u64 end, sector_t sector)
{
	size_t from = cbw_chunk_bytes_to(chunk, block);

	dm_live_batch_rw(&chunk->batch, REQ_OP_WRITE, bdev, sector,
			 chunk->data, from,
			 cbw_chunk_bytes_to(chunk, end) - from);
}

static void zero_target(struct cbw_chunk *chunk, u64 block, u64 end)
{
	struct cbw_session *session = chunk->session;
	sector_t sector = cbw_block_to_sector(session, block);

	if (READ_ONCE(session->target_lacks_write_zeroes) ||
	    !bdev_write_zeroes_sectors(session->target_bdev)) {
		write_to(chunk, session->target_bdev, block, end, sector);
		return;
	}
	chunk->used_write_zeroes = true;
	dm_live_batch_zero(&chunk->batch, session->target_bdev, sector,
			   cbw_range_sectors(session, block, end - block), 0);
}

static blk_status_t try_target(struct cbw_chunk *chunk, u64 end)
{
	struct cbw_session *session = chunk->session;
	u64 block = chunk->first, next;
	struct blk_plug plug;
	bool zero;

	dm_live_batch_begin(&chunk->batch, session->copier);
	blk_start_plug(&plug);
	for (; block < end; block = next) {
		next = zero_run(chunk, block, end, &zero);
		if (zero)
			zero_target(chunk, block, next);
		else
			write_to(chunk, session->target_bdev, block, next,
				 cbw_block_to_sector(session, block));
	}
	blk_finish_plug(&plug);
	return dm_live_batch_wait(&chunk->batch);
}

blk_status_t cbw_chunk_write_target(struct cbw_chunk *chunk, u64 end)
{
	blk_status_t status = try_target(chunk, end);

	if (status && chunk->used_write_zeroes) {
		/* Some devices learn only now that they cannot. */
		WRITE_ONCE(chunk->session->target_lacks_write_zeroes, true);
		status = try_target(chunk, end);
	}
	return status;
}

/* The slots are noted in chunk->slots; who gives them back is the caller. */
static blk_status_t submit_to_slots(struct cbw_chunk *chunk, u64 end)
{
	struct cbw_session *session = chunk->session;
	u64 block = chunk->first, next;
	bool zero;

	for (; block < end; block = next) {
		u32 *slots = &chunk->slots[block - chunk->first];
		unsigned int nr, i;
		u32 slot;

		next = zero_run(chunk, block, end, &zero);
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
		write_to(chunk, session->store_bdev, block, next,
			 cbw_block_to_sector(session, slot));
	}
	return BLK_STS_OK;
}

static blk_status_t write_slots(struct cbw_chunk *chunk, u64 end)
{
	blk_status_t status, batch_status;
	struct blk_plug plug;

	dm_live_batch_begin(&chunk->batch, chunk->session->copier);
	blk_start_plug(&plug);
	status = submit_to_slots(chunk, end);
	blk_finish_plug(&plug);
	batch_status = dm_live_batch_wait(&chunk->batch);
	return batch_status ?: status;
}

/* False when the session is suspended or over. */
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

void cbw_end_reading(struct cbw_session *session)
{
	spin_lock_irq(&session->lock);
	session->nr_reading--;
	wake_up_all(&session->wait);
	spin_unlock_irq(&session->lock);
}

/* Nothing of the copy is on its way any more. */
static void end_copying(struct cbw_session *session)
{
	spin_lock_irq(&session->lock);
	if (!--session->nr_copying)
		wake_up_all(&session->wait);
	spin_unlock_irq(&session->lock);
}

static blk_status_t read_origin(struct cbw_chunk *chunk, u64 end)
{
	struct cbw_session *session = chunk->session;

	dm_live_batch_begin(&chunk->batch, session->copier);
	dm_live_batch_rw(&chunk->batch, REQ_OP_READ, session->origin,
			 cbw_block_to_sector(session, chunk->first),
			 chunk->data, 0, cbw_chunk_bytes_to(chunk, end));
	return dm_live_batch_wait(&chunk->batch);
}

static void copy_to_store(struct cbw_chunk *chunk, u64 end,
			  struct cbw_result *result)
{
	struct cbw_session *session = chunk->session;

	result->where = "origin";
	result->read_status = read_origin(chunk, end);
	cbw_end_reading(session);
	if (result->read_status)
		return;
	if (session->fleece) {
		result->where = "fleece device, for the block";
		result->write_status = write_slots(chunk, end);
	} else {
		result->where = "target";
		result->write_status = cbw_chunk_write_target(chunk, end);
	}
}

/*
 * The store has the blocks: all writes of them succeeded. Those that are still
 * wanted become copied. A session that broke meanwhile may have let guest writes
 * down, so what was read is worth nothing.
 */
static void commit(struct cbw_chunk *chunk, u64 block)
{
	struct cbw_session *session = chunk->session;
	u64 i = block - chunk->first;

	if (session->fleece) {
		cbw_fleece_set(session->fleece, block, chunk->slots[i]);
		chunk->slots[i] = CBW_SLOT_NONE;
	}
	dm_live_bitmap_clear_range(session->todo, block, 1);
}

static void commit_all(struct cbw_copier *copier, struct cbw_chunk *chunk,
		       u64 end)
{
	struct cbw_session *session = chunk->session;
	const struct dm_live_bitmap *todo = cbw_todo_of(copier);
	struct dm_live_range range;
	u64 block;

	dm_live_range_acquire_wait(session->ranges, &range, chunk->first,
				   end - 1, DM_LIVE_RANGE_EXCLUSIVE);
	spin_lock_irq(&session->lock);
	for (block = chunk->first; session->state == CBW_ACTIVE && block < end;
	     block++) {
		if (!dm_live_bitmap_test(todo, block))
			continue;
		if (cbw_is_transfer(copier))
			cbw_transfer_commit(chunk, block);
		else
			commit(chunk, block);
	}
	session->progress_ns = ktime_get_ns();
	spin_unlock_irq(&session->lock);
	dm_live_range_release(session->ranges, &range);
}

bool cbw_copy(struct cbw_copier *copier, u64 first, u64 nr,
	      struct cbw_result *result)
{
	struct cbw_session *session = copier->session;
	struct dm_live_buffer *buffer;
	struct cbw_chunk chunk = {
		.session = session,
		.first = first,
		.slots = copier->slots,
	};
	bool begun;
	u64 i;

	*result = (struct cbw_result) { };
	for (i = 0; i < nr; i++)
		chunk.slots[i] = CBW_SLOT_NONE;
	buffer = dm_live_buffer_get(session->copier,
				    cbw_range_sectors(session, first, nr) <<
				    SECTOR_SHIFT);
	chunk.data = &buffer->data;
	begun = begin_copying(session);
	if (begun && cbw_is_transfer(copier))
		cbw_transfer(&chunk, first + nr, result);
	else if (begun)
		copy_to_store(&chunk, first + nr, result);
	/* Before any lock is waited for, see dm_live_buffer_get(). */
	dm_live_buffer_put(session->copier, buffer);
	if (!begun)
		return false;
	end_copying(session);

	if (!cbw_result_status(result))
		commit_all(copier, &chunk, first + nr);
	if (session->fleece)
		for (i = 0; i < nr; i++)
			cbw_fleece_free(session, chunk.slots[i]);
	return true;
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

/*
 * Blocks from @block on that nobody copies yet and that guest writes wait for:
 * those of other writes beside it too, as many as one copy moves.
 */
static void claim_around(struct cbw_copier *copier, u64 block)
{
	struct cbw_session *session = copier->session;
	u64 first = block, end = block + 1;
	u64 limit = min(block + cbw_copy_blocks(session), session->nr_blocks);
	struct cbw_waiter *waiter;

	limit = cbw_end_claim(copier, block, limit);
	while (end < limit) {
		waiter = cbw_waiter_over(session, end);
		if (!waiter)
			break;
		end = min(waiter->last + 1, limit);
	}
	while (first && end - first < cbw_copy_blocks(session) &&
	       dm_live_bitmap_test(session->todo, first - 1) &&
	       !cbw_is_claimed(copier, first - 1) &&
	       cbw_waiter_over(session, first - 1))
		first--;
	copier->first = first;
	copier->nr = end - first;
}

/* Give the worker blocks that guest writes wait for, the oldest first. */
static bool claim(struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;
	struct cbw_waiter *waiter;
	u64 block;

	lockdep_assert_held(&session->lock);
	if (session->state != CBW_ACTIVE || !session->running)
		return false;
	while (!list_empty(&session->fresh)) {
		waiter = list_first_entry(&session->fresh, struct cbw_waiter,
					  link);
		block = cbw_next_unclaimed(copier, waiter->first,
					   waiter->last + 1);
		if (block <= waiter->last) {
			claim_around(copier, block);
			/* A large one is worth more than one worker. */
			if (copier->first + copier->nr <= waiter->last)
				cbw_cow_kick(session);
			return true;
		}
		/* Others copy what it waits for. */
		list_move_tail(&waiter->link, &session->told);
	}
	return false;
}

static void copy_failed(struct cbw_session *session, u64 block,
			const struct cbw_result *result)
{
	cbw_count_error(session, block, result);
	if (session->config.on_cbw_error == CBW_BREAK_SNAPSHOT)
		cbw_session_break(session, "a copy before a guest write failed");
	else
		cbw_fail_waiters(session, block, cbw_result_status(result));
}

/* What fails is tried block by block: only writes to those that fail suffer. */
static void copy_claim(struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;
	u64 end = copier->first + copier->nr;
	struct cbw_result result;
	u64 block;

	if (!cbw_copy(copier, copier->first, copier->nr, &result) ||
	    !cbw_result_status(&result))
		return;
	for (block = copier->first; block < end; block++) {
		if (!cbw_is(session, CBW_ACTIVE))
			return;
		if (copier->nr > 1 && !cbw_copy(copier, block, 1, &result))
			return;
		if (cbw_result_status(&result))
			copy_failed(session, block, &result);
	}
}

static void cow_work(struct work_struct *work)
{
	struct cbw_copier *copier = container_of(to_delayed_work(work),
						 struct cbw_copier, work);
	struct cbw_session *session = copier->session;
	bool claimed;

	for (;;) {
		spin_lock_irq(&session->lock);
		claimed = claim(copier);
		copier->busy = claimed;
		spin_unlock_irq(&session->lock);
		if (!claimed)
			return;
		copy_claim(copier);
		cbw_unclaim(copier);
	}
}

void cbw_cow_kick(struct cbw_session *session)
{
	unsigned int i;

	lockdep_assert_held(&session->lock);
	/* When all are busy, the first that is done looks again. */
	for (i = 0; i < CBW_COW_WORKERS; i++) {
		struct cbw_copier *copier = &session->cow[i];

		if (copier->busy)
			continue;
		copier->busy = true;
		queue_delayed_work(session->cow_wq, &copier->work, 0);
		return;
	}
}

void cbw_copy_init(struct cbw_session *session)
{
	unsigned int i;

	for (i = 0; i < CBW_COW_WORKERS; i++) {
		session->cow[i].session = session;
		INIT_DELAYED_WORK(&session->cow[i].work, cow_work);
	}
}
