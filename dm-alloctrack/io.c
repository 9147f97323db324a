// SPDX-License-Identifier: GPL-2.0-only
/*
 * The map path: where each bio of the guest goes.
 *
 * A bio is split so that each part involves one thing only: the volume, the backing,
 * zeros, whole unallocated blocks, or one partly covered unallocated block. A part
 * that goes to the volume or the backing as it is takes no lock and no memory.
 *
 * Nothing here sleeps. A part that has to wait is queued at the range lock, the
 * faults or the worker that it waits for. A part that holds a range lock is never
 * queued behind one that waits for a range lock.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"
#include "allocation.h"
#include "blocks.h"
#include "fault.h"
#include "fill.h"
#include "io.h"
#include "lost-writes.h"
#include "metadata.h"
#include "per-bio.h"
#include "submit.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/core/range-lock.h"
#include "dm-live/store.h"

/* A guest discard or write-zeroes is processed in pieces of this size. */
#define MAX_ZERO_SECTORS	((64u << 20) >> SECTOR_SHIFT)

static void trim(struct bio *bio, sector_t nr_sectors)
{
	if (nr_sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, nr_sectors);
}

static int end(struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/* Sectors of the bio that lie before block @end. */
static sector_t sectors_before(const struct at_table *table,
			       const struct bio *bio, u64 end)
{
	sector_t limit = min_t(sector_t, bio_end_sector(bio),
			       at_block_to_sector(table->device, end));

	return limit - bio->bi_iter.bi_sector;
}

/*
 * The end of the blocks that the bio covers wholly, starting with its first block.
 * If that one is covered only in part, the first block itself.
 */
static u64 whole_end(const struct at_table *table, const struct bio *bio)
{
	const struct at_device *device = table->device;
	u64 first = at_first_block(table, bio);

	if (at_block_to_sector(device, first) != bio->bi_iter.bi_sector)
		return first;
	if (bio_end_sector(bio) == device->geometry.nr_sectors)
		return device->geometry.nr_blocks;
	return at_sector_to_block(device, bio_end_sector(bio));
}

/* A write of whole unallocated blocks: take the lock, write; bits in at_end_io(). */

static void write_granted(struct dm_live_range *range)
{
	struct at_io *io = container_of(range, struct at_io, range);

	at_defer(io->table, at_bio_of(io));
}

static int write_whole(struct at_table *table, struct bio *bio, u64 first,
		       u64 end)
{
	struct at_io *io = at_io_of(bio);

	trim(bio, sectors_before(table, bio, end));
	io->kind = AT_IO_WRITE;
	io->first = first;
	io->nr = end - first;
	if (!dm_live_range_acquire(table->device->ranges, &io->range, first,
				   end - 1, DM_LIVE_RANGE_EXCLUSIVE,
				   write_granted))
		return DM_MAPIO_SUBMITTED;
	/*
	 * BLK_STS_AGAIN does not mean that nothing was written, as the volume may have
	 * split the bio. It would end volume_is_zero although no write has failed, so
	 * let a worker submit the bio, without REQ_NOWAIT.
	 */
	if (unlikely(bio->bi_opf & REQ_NOWAIT) &&
	    READ_ONCE(table->device->volume_is_zero)) {
		at_defer(table, bio);
		return DM_MAPIO_SUBMITTED;
	}
	return at_remap_to_volume(table, bio);
}

/* A write to part of an unallocated block: fill the block first, then overwrite it. */

static void count_write_error(struct at_table *table,
			      const struct at_copy_result *result)
{
	if (result->write_status)
		atomic64_inc(&table->device->write_errors);
}

static void fill_then_write(struct work_struct *work)
{
	struct at_io *io = container_of(work, struct at_io, work);
	struct at_table *table = io->table;
	struct bio *bio = at_bio_of(io);
	struct at_copy_result result;
	blk_status_t status;

	at_copy(table, io->first, 1, NULL, &result);
	count_write_error(table, &result);
	status = result.read_status ?: result.write_status;
	/* If the block is allocated, by whatever means, the write can go on. */
	if (status && !dm_live_bitmap_test(table->device->bitmap, io->first))
		end(bio, status);
	else
		at_submit_to_volume(table, bio);
}

static int write_part(struct at_table *table, struct bio *bio, u64 block)
{
	struct at_io *io = at_io_of(bio);
	sector_t nr_sectors = sectors_before(table, bio, block + 1);

	io->first = block;
	io->nr = 1;
	if (table->backing == AT_BACKING_USER) {
		if (at_fault_queue(io, bio, nr_sectors))
			return DM_MAPIO_SUBMITTED;
		/* The block has become allocated in the meantime. */
		trim(bio, nr_sectors);
		return at_overwrite(table, bio);
	}
	trim(bio, nr_sectors);
	INIT_WORK(&io->work, fill_then_write);
	queue_work(table->fill_wq, &io->work);
	return DM_MAPIO_SUBMITTED;
}

/* Discard and write-zeroes of whole blocks: zero them, in a worker. */
static void zero_whole_work(struct work_struct *work)
{
	struct at_io *io = container_of(work, struct at_io, work);
	struct bio *bio = at_bio_of(io);
	blk_opf_t flags = 0;

	if (bio_op(bio) == REQ_OP_WRITE_ZEROES)
		flags = bio->bi_opf & REQ_NOUNMAP;
	end(bio, at_zero_for_guest(io->table, io->first, io->nr, flags));
}

static int zero_whole(struct at_table *table, struct bio *bio, u64 first,
		      u64 end)
{
	struct at_io *io = at_io_of(bio);
	u64 max = max_t(u64, at_sector_to_block(table->device,
						MAX_ZERO_SECTORS), 1);

	end = min(end, first + max);
	trim(bio, sectors_before(table, bio, end));
	io->first = first;
	io->nr = end - first;
	INIT_WORK(&io->work, zero_whole_work);
	queue_work(table->fill_wq, &io->work);
	return DM_MAPIO_SUBMITTED;
}

/* Flush and FUA: they end after the commit that they need. */

static void committed(struct dm_live_commit *commit, blk_status_t status)
{
	end(at_bio_of(container_of(commit, struct at_io, commit)), status);
}

/* The error of a failed flush that was not reported to the guest yet: report it once. */
static blk_status_t take_flush_error(struct at_device *device)
{
	if (likely(!READ_ONCE(device->flush_error)))
		return BLK_STS_OK;
	return errno_to_blk_status(xchg(&device->flush_error, 0));
}

static int map_flush(struct at_table *table, struct bio *bio)
{
	struct at_device *device = table->device;
	blk_status_t status = take_flush_error(device);

	if (status)
		return end(bio, status);
	/* Some bits are not durable and cannot become so. */
	if (table->read_only && READ_ONCE(device->lacks_bits))
		return end(bio, BLK_STS_IOERR);
	if (!at_meta_commits(table) || dm_live_store_is_clean(table->store)) {
		at_io_of(bio)->kind = AT_IO_FLUSH;
		at_io_of(bio)->first = at_flush_mark(device);
		at_io_of(bio)->flushed = at_durable_mark(device);
		at_io_of(bio)->flushes = true;
		return at_remap(bio, table->volume);
	}
	/* A commit flushes the volume as well. */
	at_io_of(bio)->commit.done = committed;
	dm_live_store_commit_flush(table->store, &at_io_of(bio)->commit);
	return DM_MAPIO_SUBMITTED;
}

/* Writes and write-zeroes. */
static int map_write(struct at_table *table, struct bio *bio)
{
	u64 first = at_first_block(table, bio);
	u64 end = at_end_block(table, bio);
	u64 whole;

	if (likely(at_all_allocated(table->device, first, end)))
		return at_overwrite(table, bio);
	if (at_meta_failed(table))
		return DM_MAPIO_KILL;

	whole = whole_end(table, bio);
	if (whole == first) {
		if (!dm_live_bitmap_test(table->device->bitmap, first))
			return write_part(table, bio, first);
		trim(bio, sectors_before(table, bio, first + 1));
		return at_overwrite(table, bio);
	}
	if (at_all_allocated(table->device, first, whole)) {
		trim(bio, sectors_before(table, bio, whole));
		return at_overwrite(table, bio);
	}
	if (bio_op(bio) == REQ_OP_WRITE_ZEROES)
		return zero_whole(table, bio, first, whole);
	return write_whole(table, bio, first, whole);
}

/* Whole unallocated blocks are zeroed; for allocated ones the discard is passed down. */
static int map_discard(struct at_table *table, struct bio *bio)
{
	u64 first = at_first_block(table, bio);
	u64 end_of_bio = at_end_block(table, bio);
	u64 whole, next;

	if (dm_live_bitmap_test(table->device->bitmap, first)) {
		next = dm_live_bitmap_next_clear(table->device->bitmap, first,
						 end_of_bio);
		trim(bio, sectors_before(table, bio, next));
		return at_overwrite(table, bio);
	}

	whole = whole_end(table, bio);
	if (whole == first) {
		/* An unallocated block that is covered only in part stays as it is. */
		trim(bio, sectors_before(table, bio, first + 1));
		return end(bio, BLK_STS_OK);
	}
	if (at_meta_failed(table))
		return DM_MAPIO_KILL;
	/* The first block itself may have become allocated in the meantime. */
	next = dm_live_bitmap_next_set(table->device->bitmap, first + 1, whole);
	return zero_whole(table, bio, first, next);
}

/* copy_on_read: the read and the fill share one read of the backing. */
static void read_and_fill(struct work_struct *work)
{
	struct at_io *io = container_of(work, struct at_io, work);
	struct at_table *table = io->table;
	struct at_copy_result result;

	/* The bio, and with it @io, is gone once the data have arrived. */
	at_copy(table, io->first, io->nr, at_bio_of(io), &result);
	count_write_error(table, &result);
}

static int read_backing(struct at_table *table, struct bio *bio, u64 first,
			u64 end)
{
	struct at_device *device = table->device;
	sector_t sector = bio->bi_iter.bi_sector;
	sector_t nr_sectors = sectors_before(table, bio, end);
	struct at_io *io = at_io_of(bio);

	if (sector >= table->backing_sectors) {
		trim(bio, nr_sectors);
		zero_fill_bio(bio);
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}
	nr_sectors = min(nr_sectors, table->backing_sectors - sector);
	if (!table->copy_on_read || table->read_only) {
		trim(bio, nr_sectors);
		if (atomic64_read(&device->stream.demand) != first)
			atomic64_set(&device->stream.demand, first);
		return at_remap(bio, table->backing_dev);
	}

	end = min(end, first + at_fill_blocks(device));
	trim(bio, min(nr_sectors, sectors_before(table, bio, end)));
	io->first = first;
	io->nr = at_end_block(table, bio) - first;
	INIT_WORK(&io->work, read_and_fill);
	queue_work(table->fill_wq, &io->work);
	return DM_MAPIO_SUBMITTED;
}

static int read_user(struct at_table *table, struct bio *bio, u64 first,
		     u64 end)
{
	struct at_io *io = at_io_of(bio);

	end = min(end, first + AT_FAULT_BLOCKS);
	io->first = first;
	io->nr = end - first;
	if (at_fault_queue(io, bio, sectors_before(table, bio, end)))
		return DM_MAPIO_SUBMITTED;
	return -EAGAIN;
}

/* Allocated blocks are read from the volume, others from the backing. */
static int map_read(struct at_table *table, struct bio *bio)
{
	const struct dm_live_bitmap *bitmap = table->device->bitmap;
	u64 first = at_first_block(table, bio);
	u64 end = at_end_block(table, bio);
	bool allocated;
	u64 next;
	int r;

	do {
		next = dm_live_bitmap_run(bitmap, first, end, &allocated);
		if (allocated) {
			trim(bio, sectors_before(table, bio, next));
			return at_remap(bio, table->volume);
		}
		if (table->backing != AT_BACKING_USER)
			return read_backing(table, bio, first, next);
		/* Fails when a block has become allocated: look again. */
		r = read_user(table, bio, first, next);
	} while (r == -EAGAIN);
	return r;
}

int at_map(struct dm_target *ti, struct bio *bio)
{
	struct at_table *table = ti->private;
	struct at_io *io = at_io_of(bio);

	io->table = table;
	io->kind = AT_IO_PLAIN;
	io->fua = false;
	io->flushes = false;

	if ((bio->bi_opf & REQ_PREFLUSH) || !bio_sectors(bio))
		return map_flush(table, bio);
	if (READ_ONCE(table->passthrough))
		return at_remap(bio, table->volume);
	/* The block layer does not keep writes off a read-only device. */
	if (table->read_only && op_is_write(bio_op(bio)))
		return DM_MAPIO_KILL;
	io->fua = (bio->bi_opf & REQ_FUA) && at_meta_commits(table);

	/* Write to the shared cache line at most once a jiffy. */
	if (time_after(jiffies, READ_ONCE(table->guest_jiffies)))
		WRITE_ONCE(table->guest_jiffies, jiffies);

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return map_read(table, bio);
	case REQ_OP_WRITE:
	case REQ_OP_WRITE_ZEROES:
		return map_write(table, bio);
	case REQ_OP_DISCARD:
		return map_discard(table, bio);
	default:
		return DM_MAPIO_KILL;
	}
}

static void end_write(struct at_table *table, struct at_io *io,
		      blk_status_t status)
{
	if (status) {
		/* Whatever the error is, part of the data may have been written. */
		WRITE_ONCE(table->device->volume_is_zero, false);
	} else {
		at_guest_owns(table->device, io->first, io->first + io->nr);
		/* the write of all these blocks succeeded */
		at_set_allocated(table, io->first, io->nr);
	}
	dm_live_range_release(table->device->ranges, &io->range);
}

/* If the bio was or included a flush of the volume, record how that ended. */
static void see_flush(struct at_table *table, struct at_io *io,
		      blk_status_t *status)
{
	if (io->kind == AT_IO_FLUSH && !*status) {
		at_flush_succeeded(table->device, io->first);
		/* A flush of our own may have been given the error instead of this one. */
		*status = take_flush_error(table->device);
	} else if (io->flushes && *status && *status != BLK_STS_AGAIN &&
		   *status != BLK_STS_DM_REQUEUE) {
		/* With the other two, no flush was tried. */
		at_flush_failed(table, io->flushed);
	}
	io->flushes = false;
}

int at_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct at_io *io = at_io_of(bio);
	struct at_table *table = ti->private;
	bool is_flush = io->kind == AT_IO_FLUSH;

	if (io->kind == AT_IO_WRITE)
		end_write(table, io, *error);
	see_flush(table, io, error);
	io->kind = AT_IO_PLAIN;

	/* The store's own flush may have been given the error instead of this one. */
	if (is_flush && !*error && table->store_active &&
	    dm_live_store_may_owe(table->store)) {
		io->commit.done = committed;
		dm_live_store_commit_flush(table->store, &io->commit);
		return DM_ENDIO_INCOMPLETE;
	}

	/* The data are durable, but their bits may not be. */
	if (io->fua && !*error && !dm_live_store_is_clean(table->store)) {
		io->fua = false;
		io->commit.done = committed;
		dm_live_store_commit(table->store, &io->commit);
		return DM_ENDIO_INCOMPLETE;
	}
	return DM_ENDIO_DONE;
}
