// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O of a snapshot view.
 *
 * A read holds the shared range lock of its blocks. If it gets the lock at once, as
 * much of it as is in one place is remapped; otherwise a worker gathers the parts. The
 * state of the session is tested after the data has arrived: no guest write overwrites
 * what is being read before the session has broken.
 *
 * A discard releases the blocks that it covers completely: they leave the scope.
 */
#include <linux/blkdev.h>

#include "blocks.h"
#include "cbw.h"
#include "fleece.h"
#include "gate.h"
#include "state.h"
#include "view-io.h"
#include "waiters.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"
#include "dm-live/core/range-lock.h"

/* Blocks that are released at a time. */
#define RELEASE_BLOCKS	1024u

/** struct place - where consecutive blocks are */
struct place {
	struct block_device *bdev;	/* NULL: nowhere, zeros */
	sector_t sector;
	u64 end;
};

static struct cbw_view_io *io_of(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct cbw_view_io));
}

static struct bio *bio_of(struct cbw_view_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(struct cbw_view_io));
}

static int end(struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

static void let_go(struct cbw_view_io *io)
{
	struct cbw_session *session = io->view->session;

	if (io->held)
		dm_live_range_release(session->ranges, &io->range);
	io->held = false;
	if (io->entered)
		cbw_view_leave(session, io->at_store);
	io->entered = false;
}

static u64 first_block(const struct cbw_session *session,
		       const struct bio *bio)
{
	return cbw_sector_to_block(session, bio->bi_iter.bi_sector);
}

static u64 end_block(const struct cbw_session *session, const struct bio *bio)
{
	return cbw_sector_to_block(session, bio_end_sector(bio) - 1) + 1;
}

/* Has the job put a copied block on the target? */
static bool is_transferred(const struct cbw_session *session, u64 block)
{
	return session->left != session->todo &&
	       !dm_live_bitmap_test(session->left, block);
}

/*
 * Find the slot of a block, and the end of the run of consecutive slots. All blocks
 * before @end are copied, and not transferred.
 */
static void locate_slot(const struct cbw_session *session, u64 block, u64 end,
			struct place *place)
{
	u32 slot = cbw_fleece_get(session->fleece, block);
	u64 next = block + 1;
	u32 step = slot != CBW_SLOT_ZERO;

	while (next < end &&
	       cbw_fleece_get(session->fleece, next) ==
	       slot + step * (u32)(next - block))
		next++;
	place->end = next;
	if (step) {
		place->bdev = session->store_bdev;
		place->sector = cbw_block_to_sector(session, slot);
	} else {
		place->bdev = NULL;
	}
}

/*
 * Find the place of @block, and how many of the blocks before @end follow it there. The
 * range lock is held, so they stay there. Returns false if @block is out of scope.
 */
static bool locate(const struct cbw_session *session, u64 block, u64 end,
		   struct place *place)
{
	if (!dm_live_bitmap_test(session->scope, block))
		return false;
	place->sector = cbw_block_to_sector(session, block);
	if (dm_live_bitmap_test(session->todo, block)) {
		place->bdev = session->origin;
		place->end = dm_live_bitmap_next_clear(session->todo, block,
						       end);
		return true;
	}
	end = dm_live_bitmap_next_set(session->todo, block, end);
	end = dm_live_bitmap_next_clear(session->scope, block, end);
	if (!session->fleece) {
		place->bdev = session->target_bdev;
		place->end = end;
	} else if (is_transferred(session, block)) {
		place->bdev = session->target_bdev;
		place->end = dm_live_bitmap_next_set(session->left, block, end);
	} else {
		if (session->left != session->todo)
			end = dm_live_bitmap_next_clear(session->left, block,
							end);
		locate_slot(session, block, end, place);
	}
	return true;
}

/* The read has its lock: remap as much of it as is in one place. */
static int map_located(struct cbw_view_io *io, struct bio *bio)
{
	const struct cbw_session *session = io->view->session;
	u64 first = first_block(session, bio);
	sector_t in_block = bio->bi_iter.bi_sector -
			    cbw_block_to_sector(session, first);
	struct place place;
	sector_t nr_sectors;

	if (!locate(session, first, end_block(session, bio), &place))
		return end(bio, BLK_STS_IOERR);
	nr_sectors = cbw_end_sector(session, place.end) -
		     bio->bi_iter.bi_sector;
	if (nr_sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, nr_sectors);
	if (!place.bdev) {
		zero_fill_bio(bio);
		return end(bio, BLK_STS_OK);
	}
	io->at_store = place.bdev != session->origin;
	if (io->at_store)
		cbw_view_at_store(io->view->session);
	bio_set_dev(bio, place.bdev);
	bio->bi_iter.bi_sector = place.sector + in_block;
	return DM_MAPIO_REMAPPED;
}

static blk_status_t gather(struct cbw_view_io *io, struct bio *bio,
			   const struct dm_live_data *data)
{
	const struct cbw_session *session = io->view->session;
	sector_t sector = bio->bi_iter.bi_sector;
	sector_t last = bio_end_sector(bio);
	blk_status_t status = BLK_STS_OK, batch_status;
	struct dm_live_batch batch;
	struct place place;

	dm_live_batch_begin(&batch, io->view->copier);
	while (sector < last) {
		u64 block = cbw_sector_to_block(session, sector);
		size_t from = (sector - bio->bi_iter.bi_sector) << SECTOR_SHIFT;
		sector_t nr_sectors;

		if (!locate(session, block, end_block(session, bio), &place)) {
			status = BLK_STS_IOERR;
			break;
		}
		nr_sectors = min(cbw_end_sector(session, place.end), last) -
			     sector;
		if (place.bdev)
			dm_live_batch_rw(&batch, REQ_OP_READ, place.bdev,
					 place.sector + sector -
					 cbw_block_to_sector(session, block),
					 data, from,
					 nr_sectors << SECTOR_SHIFT);
		else
			dm_live_data_zero(data, from,
					  nr_sectors << SECTOR_SHIFT);
		sector += nr_sectors;
	}
	batch_status = dm_live_batch_wait(&batch);
	return status ?: batch_status;
}

static void read_work(struct work_struct *work)
{
	struct cbw_view_io *io = container_of(work, struct cbw_view_io, work);
	struct cbw_view *view = io->view;
	struct bio *bio = bio_of(io);
	struct dm_live_buffer *buffer;
	blk_status_t status;

	buffer = dm_live_buffer_get(view->copier, bio->bi_iter.bi_size);
	status = gather(io, bio, &buffer->data);
	if (!status)
		dm_live_data_to_bio(bio, 0, &buffer->data, 0,
				    bio->bi_iter.bi_size);
	dm_live_buffer_put(view->copier, buffer);
	end(bio, status);
}

/*
 * May blocks leave the scope? Not if there is a job, which would miss them. Do not return
 * BLK_STS_NOTSUPP: the block layer takes that for the success of a discard.
 */
static blk_status_t begin_release(struct cbw_session *session)
{
	blk_status_t status = BLK_STS_OK;

	spin_lock_irq(&session->lock);
	if (session->state != CBW_ACTIVE ||
	    session->job.state != CBW_JOB_NONE ||
	    READ_ONCE(session->config.job))
		status = BLK_STS_IOERR;
	else
		session->released = true;
	spin_unlock_irq(&session->lock);
	return status;
}

static void release_blocks(struct cbw_session *session, u64 first, u64 nr)
{
	u64 block, end = first + nr;

	spin_lock_irq(&session->lock);
	if (session->fleece) {
		/* Only copied blocks have slots. */
		for (block = dm_live_bitmap_next_clear(session->todo, first, end);
		     block < end;
		     block = dm_live_bitmap_next_clear(session->todo, block + 1,
						       end))
			cbw_fleece_free(session, cbw_fleece_take(session->fleece,
								 block));
	}
	dm_live_bitmap_clear_range(session->todo, first, nr);
	dm_live_bitmap_clear_range(session->left, first, nr);
	dm_live_bitmap_clear_range(session->scope, first, nr);
	if (cbw_wake(session, first, nr))
		cbw_cow_kick(session);
	cbw_submit_later(session);
	spin_unlock_irq(&session->lock);
}

static void release_work(struct work_struct *work)
{
	struct cbw_view_io *io = container_of(work, struct cbw_view_io, work);
	struct cbw_session *session = io->view->session;
	blk_status_t status = begin_release(session);
	u64 block = io->range.first, nr;

	while (!status && block <= io->range.last) {
		nr = min_t(u64, io->range.last + 1 - block, RELEASE_BLOCKS);
		release_blocks(session, block, nr);
		block += nr;
		cond_resched();
	}
	end(bio_of(io), status);
}

static void granted(struct dm_live_range *range)
{
	struct cbw_view_io *io = container_of(range, struct cbw_view_io, range);

	io->held = true;
	queue_work(io->view->wq, &io->work);
}

/* Queue the work as soon as the lock is held. */
static void lock_then_work(struct cbw_view_io *io, u64 first, u64 last,
			   enum dm_live_range_mode mode)
{
	if (dm_live_range_acquire(io->view->session->ranges, &io->range, first,
				  last, mode, granted))
		granted(&io->range);
}

/* The blocks that the discard covers completely: [first, end). */
static void whole_blocks(const struct cbw_session *session,
			 const struct bio *bio, u64 *first, u64 *end)
{
	*first = cbw_sector_to_block(session, bio->bi_iter.bi_sector +
				     cbw_block_to_sector(session, 1) - 1);
	*end = bio_end_sector(bio) == session->nr_sectors ?
	       session->nr_blocks :
	       cbw_sector_to_block(session, bio_end_sector(bio));
}

static void discard(struct cbw_view_io *io, struct bio *bio)
{
	struct cbw_session *session = io->view->session;
	blk_status_t status = BLK_STS_OK;
	u64 first, last;

	whole_blocks(session, bio, &first, &last);
	/* Test before locking, too: the lock delays copies, and guest writes with them. */
	if (first < last)
		status = begin_release(session);
	if (status || first >= last) {
		end(bio, status);
		return;
	}
	INIT_WORK(&io->work, release_work);
	lock_then_work(io, first, last - 1, DM_LIVE_RANGE_EXCLUSIVE);
}

/*
 * How many sectors from the start of the bio are in the same kind of place: the origin,
 * slots, or the target. With a fleece device and a target, a lock may not cover more: a
 * read of the target, which may be slow, would delay copies that guest writes wait for.
 */
static sector_t alike_sectors(const struct cbw_session *session,
			      const struct bio *bio)
{
	u64 block = first_block(session, bio), end = end_block(session, bio);
	bool is_set;

	if (session->left == session->todo)
		return bio_sectors(bio);
	end = dm_live_bitmap_run(session->todo, block, end, &is_set);
	end = dm_live_bitmap_run(session->left, block, end, &is_set);
	return min_t(sector_t, cbw_end_sector(session, end),
		     bio_end_sector(bio)) - bio->bi_iter.bi_sector;
}

static int read_now(struct cbw_view_io *io, struct bio *bio)
{
	struct cbw_session *session = io->view->session;

	INIT_WORK(&io->work, read_work);
	if (!dm_live_range_acquire(session->ranges, &io->range,
				   first_block(session, bio),
				   end_block(session, bio) - 1,
				   DM_LIVE_RANGE_SHARED, granted))
		return DM_MAPIO_SUBMITTED;
	io->held = true;
	return map_located(io, bio);
}

void cbw_view_dispatch(struct bio *bio)
{
	struct cbw_view_io *io = io_of(bio);
	struct cbw_session *session = io->view->session;

	switch (cbw_view_enter(session, bio)) {
	case CBW_GATE_SHUT:
		return;
	case CBW_GATE_ENDED:
		end(bio, BLK_STS_IOERR);
		return;
	case CBW_GATE_OPEN:
		break;
	}
	io->entered = true;
	if (bio_op(bio) == REQ_OP_DISCARD) {
		discard(io, bio);
		return;
	}
	INIT_WORK(&io->work, read_work);
	lock_then_work(io, first_block(session, bio),
		       end_block(session, bio) - 1, DM_LIVE_RANGE_SHARED);
}

void cbw_view_fail(struct bio *bio)
{
	end(bio, BLK_STS_IOERR);
}

int cbw_view_map(struct dm_target *ti, struct bio *bio)
{
	struct cbw_view *view = ti->private;
	struct cbw_session *session = view->session;
	struct cbw_view_io *io = io_of(bio);
	/* The size of a buffer. */
	sector_t max_sectors = cbw_block_to_sector(session,
						   cbw_copy_blocks(session));

	io->view = view;
	io->entered = false;
	io->held = false;
	io->at_store = false;
	if (bio_op(bio) != REQ_OP_READ && bio_op(bio) != REQ_OP_DISCARD)
		return bio_sectors(bio) ? DM_MAPIO_KILL : end(bio, BLK_STS_OK);
	if (bio_op(bio) == REQ_OP_READ) {
		max_sectors = min(max_sectors, alike_sectors(session, bio));
		if (bio_sectors(bio) > max_sectors)
			dm_accept_partial_bio(bio, max_sectors);
	}

	switch (cbw_view_enter(session, bio)) {
	case CBW_GATE_SHUT:
		return DM_MAPIO_SUBMITTED;
	case CBW_GATE_ENDED:
		return DM_MAPIO_KILL;
	case CBW_GATE_OPEN:
		break;
	}
	io->entered = true;
	if (bio_op(bio) == REQ_OP_DISCARD) {
		discard(io, bio);
		return DM_MAPIO_SUBMITTED;
	}
	return read_now(io, bio);
}

int cbw_view_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct cbw_view_io *io = io_of(bio);

	if (bio_op(bio) == REQ_OP_READ && io->entered &&
	    !cbw_view_is_valid(io->view->session))
		*error = BLK_STS_IOERR;
	let_go(io);
	return DM_ENDIO_DONE;
}
