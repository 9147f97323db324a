// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copy of blocks to the store, who copies which blocks, and the workers that
 * copy for guest writes.
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

static u64 claim_limit(const struct cbw_copier *copier, u64 block, u64 end)
{
	if (copier->nr && copier->first + copier->nr > block)
		end = min(end, max(copier->first, block));
	return end;
}

u64 cbw_next_claimed(const struct cbw_session *session, u64 block, u64 end)
{
	unsigned int i;

	lockdep_assert_held(&session->lock);
	for (i = 0; i < CBW_COW_WORKERS; i++)
		end = claim_limit(&session->cow[i], block, end);
	for (i = 0; i < session->job.nr_workers; i++)
		end = claim_limit(&session->job.workers[i], block, end);
	return end;
}

static u64 claim_end(const struct cbw_copier *copier, u64 block)
{
	u64 end = copier->first + copier->nr;

	return copier->first <= block && block < end ? end : block;
}

/* Where the claim that has @block ends, or @block. */
static u64 end_of_claim(const struct cbw_session *session, u64 block)
{
	u64 end = block;
	unsigned int i;

	lockdep_assert_held(&session->lock);
	for (i = 0; i < CBW_COW_WORKERS && end == block; i++)
		end = claim_end(&session->cow[i], block);
	for (i = 0; i < session->job.nr_workers && end == block; i++)
		end = claim_end(&session->job.workers[i], block);
	return end;
}

u64 cbw_next_unclaimed(const struct cbw_session *session, u64 block, u64 end)
{
	u64 next;

	while (block < end) {
		block = dm_live_bitmap_next_set(session->todo, block, end);
		next = block < end ? end_of_claim(session, block) : block;
		if (next == block)
			break;
		block = next;
	}
	return min(block, end);
}

static bool is_claimed(const struct cbw_session *session, u64 block)
{
	return end_of_claim(session, block) != block;
}

bool cbw_has_claims(const struct cbw_session *session)
{
	return cbw_next_claimed(session, 0, session->nr_blocks) !=
	       session->nr_blocks;
}

void cbw_unclaim(struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;
	bool kick_job;

	spin_lock_irq(&session->lock);
	if (cbw_wake(session, copier->first, copier->nr))
		cbw_cow_kick(session);
	copier->nr = 0;
	kick_job = cbw_job_wants_kick(session);
	spin_unlock_irq(&session->lock);
	if (kick_job)
		cbw_job_kick(session);
}

/* A copy under way: @first is what the buffer begins with. */
struct copy {
	struct cbw_session *session;
	const struct dm_live_data *data;
	u64 first;
	u32 *slots;
	bool used_write_zeroes;
	struct dm_live_batch batch;
};

static size_t bytes_to(const struct copy *copy, u64 block)
{
	const struct cbw_session *session = copy->session;

	return (cbw_end_sector(session, block) -
		cbw_block_to_sector(session, copy->first)) << SECTOR_SHIFT;
}

static bool is_zero_block(const struct copy *copy, u64 block)
{
	size_t from = bytes_to(copy, block);

	return dm_live_data_is_zero(copy->data, from,
				    bytes_to(copy, block + 1) - from);
}

static u64 zero_run(const struct copy *copy, u64 block, u64 end, bool *zero)
{
	u64 next = block + 1;

	*zero = is_zero_block(copy, block);
	while (next < end && is_zero_block(copy, next) == *zero)
		next++;
	return next;
}

static void write_to(struct copy *copy, u64 block, u64 end, sector_t sector)
{
	size_t from = bytes_to(copy, block);

	dm_live_batch_rw(&copy->batch, REQ_OP_WRITE, copy->session->store_bdev,
			 sector, copy->data, from, bytes_to(copy, end) - from);
}

static void zero_to(struct copy *copy, u64 block, u64 end, sector_t sector)
{
	struct cbw_session *session = copy->session;

	if (READ_ONCE(session->store_lacks_write_zeroes) ||
	    !bdev_write_zeroes_sectors(session->store_bdev)) {
		write_to(copy, block, end, sector);
		return;
	}
	copy->used_write_zeroes = true;
	dm_live_batch_zero(&copy->batch, session->store_bdev, sector,
			   cbw_range_sectors(session, block, end - block), 0);
}

static void write_target(struct copy *copy, u64 end)
{
	u64 block = copy->first, next;
	bool zero;

	for (; block < end; block = next) {
		sector_t sector = cbw_block_to_sector(copy->session, block);

		next = zero_run(copy, block, end, &zero);
		if (zero)
			zero_to(copy, block, next, sector);
		else
			write_to(copy, block, next, sector);
	}
}

/* The slots are noted in copy->slots; who gives them back is the caller. */
static blk_status_t write_slots(struct copy *copy, u64 end)
{
	struct cbw_session *session = copy->session;
	u64 block = copy->first, next;
	bool zero;

	for (; block < end; block = next) {
		u32 *slots = &copy->slots[block - copy->first];
		unsigned int nr, i;
		u32 slot;

		next = zero_run(copy, block, end, &zero);
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
		write_to(copy, block, next, cbw_block_to_sector(session, slot));
	}
	return BLK_STS_OK;
}

static blk_status_t write_blocks(struct copy *copy, u64 end)
{
	blk_status_t status = BLK_STS_OK, batch_status;
	struct blk_plug plug;

	dm_live_batch_begin(&copy->batch, copy->session->copier);
	blk_start_plug(&plug);
	if (copy->session->fleece)
		status = write_slots(copy, end);
	else
		write_target(copy, end);
	blk_finish_plug(&plug);
	batch_status = dm_live_batch_wait(&copy->batch);
	return batch_status ?: status;
}

static blk_status_t write_data(struct copy *copy, u64 end)
{
	blk_status_t status = write_blocks(copy, end);

	if (status && copy->used_write_zeroes) {
		/* Some devices learn only now that they cannot. */
		WRITE_ONCE(copy->session->store_lacks_write_zeroes, true);
		status = write_blocks(copy, end);
	}
	return status;
}

/* False when the session is suspended or over. */
static bool read_data(struct copy *copy, u64 end, blk_status_t *status)
{
	struct cbw_session *session = copy->session;
	struct dm_live_batch batch;
	bool running;

	spin_lock_irq(&session->lock);
	running = session->running && session->state == CBW_ACTIVE;
	session->nr_reading += running;
	session->nr_copying += running;
	spin_unlock_irq(&session->lock);
	if (!running)
		return false;

	dm_live_batch_begin(&batch, session->copier);
	dm_live_batch_rw(&batch, REQ_OP_READ, session->origin,
			 cbw_block_to_sector(session, copy->first),
			 copy->data, 0, bytes_to(copy, end));
	*status = dm_live_batch_wait(&batch);

	spin_lock_irq(&session->lock);
	session->nr_reading--;
	wake_up_all(&session->wait);
	spin_unlock_irq(&session->lock);
	return true;
}

/*
 * The store has the blocks: all writes of them succeeded. Those that are still
 * wanted become copied. A session that broke meanwhile may have let guest writes
 * down, so what was read is worth nothing.
 */
static void commit(struct copy *copy, u64 end)
{
	struct cbw_session *session = copy->session;
	struct dm_live_range range;
	u64 block, i;

	dm_live_range_acquire_wait(session->ranges, &range, copy->first,
				   end - 1, DM_LIVE_RANGE_EXCLUSIVE);
	spin_lock_irq(&session->lock);
	for (block = copy->first; session->state == CBW_ACTIVE && block < end;
	     block++) {
		if (!dm_live_bitmap_test(session->todo, block))
			continue;
		if (session->fleece) {
			i = block - copy->first;
			cbw_fleece_set(session->fleece, block, copy->slots[i]);
			copy->slots[i] = CBW_SLOT_NONE;
		}
		dm_live_bitmap_clear_range(session->todo, block, 1);
	}
	session->progress_ns = ktime_get_ns();
	spin_unlock_irq(&session->lock);
	dm_live_range_release(session->ranges, &range);
}

/* Nothing of the copy is on its way any more. */
static void end_copying(struct cbw_session *session)
{
	spin_lock_irq(&session->lock);
	if (!--session->nr_copying)
		wake_up_all(&session->wait);
	spin_unlock_irq(&session->lock);
}

bool cbw_copy(struct cbw_copier *copier, u64 first, u64 nr,
	      struct cbw_result *result)
{
	struct cbw_session *session = copier->session;
	struct dm_live_buffer *buffer;
	struct copy copy = {
		.session = session,
		.first = first,
		.slots = copier->slots,
	};
	bool done;
	u64 i;

	*result = (struct cbw_result) { };
	for (i = 0; i < nr; i++)
		copy.slots[i] = CBW_SLOT_NONE;
	buffer = dm_live_buffer_get(session->copier,
				    cbw_range_sectors(session, first, nr) <<
				    SECTOR_SHIFT);
	copy.data = &buffer->data;
	done = read_data(&copy, first + nr, &result->read_status);
	if (done && !result->read_status)
		result->write_status = write_data(&copy, first + nr);
	/* Before any lock is waited for, see dm_live_buffer_get(). */
	dm_live_buffer_put(session->copier, buffer);
	if (done)
		end_copying(session);

	if (done && !cbw_result_status(result))
		commit(&copy, first + nr);
	if (session->fleece)
		for (i = 0; i < nr; i++)
			cbw_fleece_free(session, copy.slots[i]);
	return done;
}

void cbw_count_error(struct cbw_session *session, u64 first,
		     const struct cbw_result *result)
{
	bool is_read = result->read_status;

	DMERR_LIMIT("%s: copy: error %d on the %s at sector %llu",
		    session->name,
		    blk_status_to_errno(cbw_result_status(result)),
		    is_read ? "origin" :
		    session->fleece ? "fleece device, for the block" : "target",
		    (u64)cbw_block_to_sector(session, first));
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

	limit = dm_live_bitmap_next_clear(session->todo, block, limit);
	limit = cbw_next_claimed(session, end, limit);
	while (end < limit) {
		waiter = cbw_waiter_over(session, end);
		if (!waiter)
			break;
		end = min(waiter->last + 1, limit);
	}
	while (first && end - first < cbw_copy_blocks(session) &&
	       dm_live_bitmap_test(session->todo, first - 1) &&
	       !is_claimed(session, first - 1) &&
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
		block = cbw_next_unclaimed(session, waiter->first,
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
