// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stream job copies all unallocated blocks from the backing in the background.
 *
 * With a backing device, the workers in this file do it: each claims the next
 * unallocated chunk, copies it, and queues itself again. Blocks near the last read
 * of the backing come first, then ascending order. While the guest is active only a
 * few of the workers run, but never none, so the job finishes under any load. With
 * a user server, the job is only a state: the server reads it with INFO and does
 * the work.
 *
 * States: idle -> running <-> paused or stopped; running, paused and stopped ->
 * cancelled or failed; any -> complete, since guest writes alone can allocate the
 * last block. A job ends as failed or cancelled, and `stream start` starts a new
 * one; complete is final.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"
#include "allocation.h"
#include "blocks.h"
#include "fill.h"
#include "names.h"
#include "stream.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"

/* Workers that continue while the guest is active. */
#define BUSY_WORKERS	2
#define BUSY_JIFFIES	(HZ / 50 + 1)

/* At the speed limit, a chunk takes at most 1/CHUNKS_PER_SECOND seconds. */
#define CHUNKS_PER_SECOND	8

static enum dm_alloctrack_state state_of(const struct at_device *device)
{
	return READ_ONCE(device->stream.state);
}

/* Wake those who wait for a change of the job. */
static void control_changed(struct at_device *device)
{
	atomic_inc(&device->control_sequence);
	wake_up_all(&device->wait);
}

/* The only place where the state changes. */
static void set_state(struct at_table *table, enum dm_alloctrack_state state)
{
	struct at_device *device = table->device;

	lockdep_assert_held(&device->stream.mutex);
	if (device->stream.state == state)
		return;
	DMINFO("%s: stream %s", device->name, at_stream_state_name(state));
	WRITE_ONCE(device->stream.state, state);
	control_changed(device);
	if (state == DM_ALLOCTRACK_STOPPED || state == DM_ALLOCTRACK_FAILED ||
	    state == DM_ALLOCTRACK_COMPLETE)
		at_raise_event(table);
}

static bool is_active(enum dm_alloctrack_state state)
{
	return state == DM_ALLOCTRACK_RUNNING ||
	       state == DM_ALLOCTRACK_PAUSED ||
	       state == DM_ALLOCTRACK_STOPPED;
}

static int start(struct at_table *table)
{
	struct at_stream *stream = &table->device->stream;

	if (is_active(stream->state))
		return -EALREADY;
	spin_lock(&stream->lock);
	stream->position = 0;
	stream->holes = false;
	spin_unlock(&stream->lock);
	set_state(table, DM_ALLOCTRACK_RUNNING);
	return 0;
}

int at_stream_message(struct at_table *table, const char *verb)
{
	static const char *const verbs[] = {
		"start", "pause", "resume", "cancel",
	};
	struct at_stream *stream = &table->device->stream;
	int r = 0;

	if (match_string(verbs, ARRAY_SIZE(verbs), verb) < 0)
		return -EINVAL;
	if (table->read_only)
		return -EROFS;

	mutex_lock(&stream->mutex);
	if (stream->state == DM_ALLOCTRACK_COMPLETE)
		r = -EALREADY;
	else if (!strcmp(verb, "start"))
		r = start(table);
	else if (!is_active(stream->state))
		r = -ESRCH;
	else if (!strcmp(verb, "pause"))
		set_state(table, DM_ALLOCTRACK_PAUSED);
	else if (!strcmp(verb, "resume"))
		set_state(table, DM_ALLOCTRACK_RUNNING);
	else
		set_state(table, DM_ALLOCTRACK_CANCELLED);
	/* Perhaps nothing is left to copy, or only the last flush has to be tried again. */
	if (!r && stream->state == DM_ALLOCTRACK_RUNNING)
		at_complete_if_full(table);
	mutex_unlock(&stream->mutex);

	if (!r)
		at_stream_kick(table);
	return r;
}

void at_stream_set_speed(struct at_device *device, u64 bytes_per_second)
{
	dm_live_rate_set(&device->stream.rate, bytes_per_second);
	control_changed(device);
}

void at_stream_set_on_error(struct at_device *device,
			    enum dm_alloctrack_on_error on_error)
{
	mutex_lock(&device->stream.mutex);
	WRITE_ONCE(device->stream.on_error, on_error);
	mutex_unlock(&device->stream.mutex);
	control_changed(device);
}

/* The state after an error that is not ignored. */
static enum dm_alloctrack_state state_after(const struct at_stream *stream,
					    blk_status_t status)
{
	if (stream->on_error == DM_ALLOCTRACK_ON_ERROR_STOP ||
	    (stream->on_error == DM_ALLOCTRACK_ON_ERROR_ENOSPC &&
	     status == BLK_STS_NOSPC))
		return DM_ALLOCTRACK_STOPPED;
	return DM_ALLOCTRACK_FAILED;
}

void at_stream_not_complete(struct at_table *table, blk_status_t status)
{
	struct at_device *device = table->device;
	struct at_stream *stream = &device->stream;

	DMERR("%s: all data are on the volume, but not durable: error %d",
	      device->name, blk_status_to_errno(status));
	atomic64_inc(&device->write_errors);
	mutex_lock(&stream->mutex);
	if (is_active(stream->state))
		set_state(table, state_after(stream, status));
	mutex_unlock(&stream->mutex);
}

void at_stream_lost_writes(struct at_table *table)
{
	struct at_stream *stream = &table->device->stream;

	atomic64_inc(&table->device->write_errors);
	mutex_lock(&stream->mutex);
	if (is_active(stream->state))
		set_state(table, state_after(stream, BLK_STS_IOERR));
	mutex_unlock(&stream->mutex);
}

void at_stream_rewind(struct at_device *device)
{
	spin_lock(&device->stream.lock);
	device->stream.position = 0;
	spin_unlock(&device->stream.lock);
	control_changed(device);
}

void at_stream_error(struct at_table *table, u64 first, blk_status_t status,
		     bool is_read)
{
	struct at_device *device = table->device;
	struct at_stream *stream = &device->stream;

	DMERR_LIMIT("%s: stream: %s error %d at sector %llu", device->name,
		    is_read ? "read" : "write", blk_status_to_errno(status),
		    (u64)at_block_to_sector(device, first));
	atomic64_inc(is_read ? &device->read_errors : &device->write_errors);

	mutex_lock(&stream->mutex);
	spin_lock(&stream->lock);
	if (stream->on_error == DM_ALLOCTRACK_ON_ERROR_IGNORE)
		stream->holes = true;
	else
		stream->position = min(stream->position, first);
	spin_unlock(&stream->lock);

	if (stream->on_error != DM_ALLOCTRACK_ON_ERROR_IGNORE &&
	    is_active(stream->state))
		set_state(table, state_after(stream, status));
	mutex_unlock(&stream->mutex);
}

void at_stream_complete(struct at_table *table)
{
	struct at_stream *stream = &table->device->stream;

	mutex_lock(&stream->mutex);
	set_state(table, DM_ALLOCTRACK_COMPLETE);
	mutex_unlock(&stream->mutex);
}

static unsigned int nr_workers_now(const struct at_table *table)
{
	unsigned long idle = jiffies - READ_ONCE(table->guest_jiffies);

	return idle < BUSY_JIFFIES ? BUSY_WORKERS : AT_STREAM_WORKERS;
}

static bool may_run(const struct at_table *table)
{
	return table->backing != AT_BACKING_USER && !table->read_only &&
	       READ_ONCE(table->device->active) == table &&
	       state_of(table->device) == DM_ALLOCTRACK_RUNNING;
}

void at_stream_kick(struct at_table *table)
{
	unsigned int i, nr = nr_workers_now(table);

	if (!may_run(table))
		return;
	for (i = 0; i < nr; i++)
		mod_delayed_work(table->fill_wq, &table->workers[i].work, 0);
}

static bool is_claimed(const struct at_table *table, u64 block)
{
	const struct at_stream_worker *worker;
	unsigned int i;

	lockdep_assert_held(&table->device->stream.lock);
	for (i = 0; i < AT_STREAM_WORKERS; i++) {
		worker = &table->workers[i];
		if (block - worker->first < worker->nr)
			return true;
	}
	return false;
}

static u64 chunk_blocks(const struct at_device *device)
{
	u64 bytes = dm_live_rate_get(&device->stream.rate) / CHUNKS_PER_SECOND;
	u64 nr = at_fill_blocks(device);
	u64 slow = at_sector_to_block(device, bytes >> SECTOR_SHIFT);

	if (dm_live_rate_get(&device->stream.rate))
		nr = clamp_t(u64, slow, 1, nr);
	return nr;
}

/* An unallocated block near what the guest read last, or AT_NO_BLOCK. */
static u64 demanded_block(struct at_table *table, u64 max_blocks)
{
	struct at_device *device = table->device;
	u64 block = atomic64_xchg(&device->stream.demand, AT_NO_BLOCK);
	u64 end;

	if (block == (u64)AT_NO_BLOCK)
		return AT_NO_BLOCK;
	end = min(block + max_blocks, device->geometry.nr_blocks);
	block = dm_live_bitmap_next_clear(device->bitmap, block, end);
	if (block == end || is_claimed(table, block))
		return AT_NO_BLOCK;
	return block;
}

/*
 * The next unallocated block in ascending order that no worker has claimed, up to the
 * end of a piece of the bitmap. AT_NO_BLOCK: none; the position is now at that end.
 */
static u64 next_block(struct at_table *table)
{
	struct at_device *device = table->device;
	struct at_stream *stream = &device->stream;
	u64 piece = dm_live_bitmap_piece_end(stream->position,
					     device->geometry.nr_blocks);
	u64 block;

	lockdep_assert_held(&stream->lock);
	do {
		block = dm_live_bitmap_next_clear(device->bitmap,
						  stream->position, piece);
		if (block == piece) {
			stream->position = piece;
			return AT_NO_BLOCK;
		}
		stream->position = block + 1;
	} while (is_claimed(table, block));
	return block;
}

/* Returns false if it has to be called again. */
static bool claim_in_piece(struct at_stream_worker *worker, u64 max_blocks)
{
	struct at_table *table = worker->table;
	struct at_device *device = table->device;
	struct at_stream *stream = &device->stream;
	u64 nr_blocks = device->geometry.nr_blocks;
	u64 block, end;

	lockdep_assert_held(&stream->lock);
	block = demanded_block(table, max_blocks);
	if (block == (u64)AT_NO_BLOCK)
		block = next_block(table);
	if (block == (u64)AT_NO_BLOCK)
		return stream->position == nr_blocks;
	end = min(block + max_blocks, nr_blocks);
	end = dm_live_bitmap_next_set(device->bitmap, block + 1, end);
	worker->first = block;
	worker->nr = end - block;
	if (stream->position >= block && stream->position < end)
		stream->position = end;
	return true;
}

/*
 * Give @worker an unallocated chunk that no other worker has. The lock is released
 * between pieces of the bitmap, as others spin on it.
 */
static bool claim(struct at_stream_worker *worker, u64 max_blocks)
{
	struct at_stream *stream = &worker->table->device->stream;
	bool done;

	for (;; cond_resched()) {
		spin_lock(&stream->lock);
		done = claim_in_piece(worker, max_blocks);
		spin_unlock(&stream->lock);
		if (done)
			return worker->nr;
	}
}

static void unclaim(struct at_stream_worker *worker)
{
	struct at_stream *stream = &worker->table->device->stream;

	spin_lock(&stream->lock);
	worker->nr = 0;
	spin_unlock(&stream->lock);
}

/* Copy blocks and count those that have become allocated. */
static bool copy(struct at_table *table, u64 first, u64 nr,
		 struct at_copy_result *result)
{
	at_copy(table, first, nr, NULL, result);
	at_count_streamed(table->device, first, nr, result->changed_blocks);
	return !result->read_status && !result->write_status;
}

/* Leave the blocks from @block on for when the job continues. */
static void give_back(struct at_table *table, u64 block)
{
	struct at_stream *stream = &table->device->stream;

	spin_lock(&stream->lock);
	stream->position = min(stream->position, block);
	spin_unlock(&stream->lock);
}

/* If a chunk fails, try it block by block: only the blocks that fail count as errors. */
static void copy_chunk(struct at_table *table, u64 first, u64 nr)
{
	struct at_copy_result result;
	u64 block;

	if (copy(table, first, nr, &result))
		return;
	for (block = first; block < first + nr; block++) {
		if (!may_run(table)) {
			give_back(table, block);
			return;
		}
		if (nr > 1 && copy(table, block, 1, &result))
			continue;
		/* The guest may have written it in the meantime. */
		if (dm_live_bitmap_test(table->device->bitmap, block))
			continue;
		at_stream_error(table, block,
				result.read_status ?: result.write_status,
				result.read_status != BLK_STS_OK);
	}
}

/*
 * Nothing is left to claim. If no other worker has a claim either, all blocks have
 * been handled. Either all are allocated, which completes the job elsewhere, or
 * there are holes, or a block was missed because a guest write to it failed: then
 * start again from the first block.
 */
static void reached_end(struct at_table *table)
{
	struct at_device *device = table->device;
	struct at_stream *stream = &device->stream;
	bool others = false, holes;
	unsigned int i;

	spin_lock(&stream->lock);
	for (i = 0; i < AT_STREAM_WORKERS; i++)
		others |= table->workers[i].nr;
	holes = stream->holes;
	if (!others && !holes)
		stream->position = 0;
	spin_unlock(&stream->lock);
	if (others || at_is_full(device))
		return;
	if (!holes) {
		at_stream_kick(table);
		return;
	}

	mutex_lock(&stream->mutex);
	if (stream->state == DM_ALLOCTRACK_RUNNING) {
		DMERR("%s: stream: some blocks could not be copied",
		      device->name);
		set_state(table, DM_ALLOCTRACK_FAILED);
	}
	mutex_unlock(&stream->mutex);
}

/*
 * Claim a chunk if the speed limit allows it. Returns 0, also if none is left, or
 * the number of jiffies to wait before trying again.
 */
static unsigned long claim_at_speed(struct at_stream_worker *worker)
{
	struct at_device *device = worker->table->device;
	struct dm_live_rate *rate = &device->stream.rate;
	u64 max_blocks = chunk_blocks(device);
	u64 max_bytes = max_blocks * at_block_sectors(device) << SECTOR_SHIFT;
	u64 bytes = 0;
	unsigned long wait_jiffies;

	/* Charge the maximum before the size is known: see dm_live_rate_take(). */
	wait_jiffies = dm_live_rate_take(rate, max_bytes);
	if (wait_jiffies)
		return wait_jiffies;
	if (claim(worker, max_blocks))
		bytes = (u64)at_range_sectors(device, worker->first,
					      worker->nr) << SECTOR_SHIFT;
	dm_live_rate_give_back(rate, max_bytes - bytes);
	return 0;
}

static void worker_work(struct work_struct *work)
{
	struct at_stream_worker *worker =
		container_of(to_delayed_work(work), struct at_stream_worker,
			     work);
	struct at_table *table = worker->table;
	unsigned long wait_jiffies;

	if (!may_run(table))
		return;
	if (worker->index >= nr_workers_now(table)) {
		/* The first workers may have stopped and left the rest to this one. */
		at_stream_kick(table);
		return;
	}
	wait_jiffies = claim_at_speed(worker);
	if (wait_jiffies) {
		queue_delayed_work(table->fill_wq, &worker->work,
				   wait_jiffies);
		return;
	}
	if (!worker->nr) {
		reached_end(table);
		return;
	}
	copy_chunk(table, worker->first, worker->nr);
	unclaim(worker);

	queue_delayed_work(table->fill_wq, &worker->work, 0);
	if (!worker->index)
		at_stream_kick(table);
}

void at_stream_init_workers(struct at_table *table)
{
	unsigned int i;

	for (i = 0; i < AT_STREAM_WORKERS; i++) {
		table->workers[i].table = table;
		table->workers[i].index = i;
		INIT_DELAYED_WORK(&table->workers[i].work, worker_work);
	}
}

void at_stream_stop_workers(struct at_table *table)
{
	unsigned int i;

	for (i = 0; i < AT_STREAM_WORKERS; i++)
		cancel_delayed_work_sync(&table->workers[i].work);
}

void at_stream_init(struct at_device *device)
{
	struct at_stream *stream = &device->stream;

	mutex_init(&stream->mutex);
	spin_lock_init(&stream->lock);
	dm_live_rate_init(&stream->rate);
	atomic64_set(&stream->demand, AT_NO_BLOCK);
	stream->state = DM_ALLOCTRACK_IDLE;
}
