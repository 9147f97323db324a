// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fill: how a range becomes allocated, wherever the data come from.
 *
 * Under the exclusive lock of the range, the blocks that are still unallocated are
 * written to the volume. Their bits are set only after all writes have succeeded. A
 * failed fill leaves the blocks unallocated; what it may have written there is never
 * read.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"
#include "allocation.h"
#include "blocks.h"
#include "fill.h"
#include "lost-writes.h"
#include "metadata.h"
#include "zero.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"
#include "dm-live/core/range-lock.h"

/*
 * The unallocated blocks may hold anything now. This is stored before the lock of
 * these blocks is released: partner of the reads of volume_is_zero under that lock.
 */
static void write_failed(struct at_table *table)
{
	WRITE_ONCE(table->device->volume_is_zero, false);
}

struct fill {
	struct at_table *table;
	const struct dm_live_data *data;
	u64 first;
	bool detect_zeroes;
	bool used_write_zeroes;
	bool wrote;
	blk_status_t zero_status;
	struct dm_live_batch batch;
};

static size_t bytes_to(const struct fill *fill, u64 block)
{
	const struct at_device *device = fill->table->device;

	return (at_end_sector(device, block) -
		at_block_to_sector(device, fill->first)) << SECTOR_SHIFT;
}

static bool is_zero_block(const struct fill *fill, u64 block)
{
	size_t from = bytes_to(fill, block);

	return fill->detect_zeroes &&
	       dm_live_data_is_zero(fill->data, from,
				    bytes_to(fill, block + 1) - from);
}

static void submit_blocks(struct fill *fill, u64 block, u64 end, bool zero)
{
	struct at_table *table = fill->table;
	sector_t sector = at_block_to_sector(table->device, block);
	size_t from = bytes_to(fill, block);
	size_t bytes = bytes_to(fill, end) - from;

	if (zero && READ_ONCE(table->device->volume_is_zero))
		return;
	fill->wrote = true;
	if (zero && at_can_write_zeroes(table)) {
		fill->used_write_zeroes = true;
		dm_live_batch_zero(&fill->batch, table->volume->bdev, sector,
				   bytes >> SECTOR_SHIFT, 0);
		return;
	}
	if (zero && table->zero_checker) {
		if (!fill->zero_status)
			fill->zero_status = at_zero_unallocated(table, block,
								end, 0);
		return;
	}
	dm_live_batch_rw(&fill->batch, REQ_OP_WRITE, table->volume->bdev, sector,
			 fill->data, from, bytes);
}

/* Submit the unallocated blocks [block, end), runs of zeros apart from other data. */
static void submit_run(struct fill *fill, u64 block, u64 end)
{
	while (block < end) {
		bool zero = is_zero_block(fill, block);
		u64 next = block + 1;

		while (next < end && is_zero_block(fill, next) == zero)
			next++;
		submit_blocks(fill, block, next, zero);
		block = next;
	}
}

static blk_status_t write_data(struct fill *fill, u64 end)
{
	struct at_table *table = fill->table;
	const struct dm_live_bitmap *bitmap = table->device->bitmap;
	struct blk_plug plug;
	u64 block, next;

	fill->zero_status = BLK_STS_OK;
	dm_live_batch_begin(&fill->batch, table->copier);
	blk_start_plug(&plug);
	block = dm_live_bitmap_next_clear(bitmap, fill->first, end);
	while (block < end) {
		next = dm_live_bitmap_next_set(bitmap, block, end);
		submit_run(fill, block, next);
		block = dm_live_bitmap_next_clear(bitmap, next, end);
	}
	blk_finish_plug(&plug);
	return dm_live_batch_wait(&fill->batch) ?: fill->zero_status;
}

static blk_status_t fill_data(struct at_table *table, u64 first, u64 nr,
			      const struct dm_live_data *data, bool *wrote)
{
	struct fill fill = {
		.table = table,
		.data = data,
		.first = first,
		.detect_zeroes = !table->no_detect_zeroes,
	};
	blk_status_t status = write_data(&fill, first + nr);

	if (status && fill.used_write_zeroes) {
		/* Some devices find out only now that they do not support it. */
		WRITE_ONCE(table->volume_lacks_write_zeroes, true);
		status = write_data(&fill, first + nr);
	}
	*wrote = fill.wrote;
	return status;
}

/*
 * Zero the blocks: unallocated ones unless they are known to be zero, allocated
 * ones if @allocated_too.
 */
static blk_status_t zero_runs(struct at_table *table, u64 first, u64 nr,
			      bool allocated_too, blk_opf_t flags)
{
	const struct dm_live_bitmap *bitmap = table->device->bitmap;
	bool unallocated_too = !READ_ONCE(table->device->volume_is_zero);
	blk_status_t status = BLK_STS_OK;
	u64 block = first, end = first + nr, next;

	if (allocated_too && unallocated_too && !table->zero_checker)
		return at_zero_blocks(table, first, end, flags);
	while (block < end && !status) {
		bool allocated;

		next = dm_live_bitmap_run(bitmap, block, end, &allocated);
		if (allocated && allocated_too)
			status = at_zero_blocks(table, block, next, flags);
		else if (!allocated && unallocated_too)
			status = at_zero_unallocated(table, block, next, flags);
		block = next;
	}
	return status;
}

static u64 set_or_spoil(struct at_table *table, u64 first, u64 nr,
			blk_status_t status)
{
	if (status) {
		write_failed(table);
		return 0;
	}
	/* all unallocated blocks of the range were written successfully */
	return at_set_allocated(table, first, nr);
}

/* To be called before the blocks become allocated. */
static void mark_copied(struct at_device *device, u64 block, u64 end)
{
	u64 next;

	block = dm_live_bitmap_next_clear(device->bitmap, block, end);
	while (block < end) {
		next = dm_live_bitmap_next_set(device->bitmap, block, end);
		dm_live_bitmap_set_range(device->copied, block, next - block);
		block = dm_live_bitmap_next_clear(device->bitmap, next, end);
	}
}

/* The caller holds the lock of the blocks. */
static blk_status_t write_copy(struct at_table *table, u64 first, u64 nr,
			       const struct dm_live_data *data)
{
	struct at_device *device = table->device;
	bool wrote = !READ_ONCE(device->volume_is_zero);
	blk_status_t status;

	/* Another fill or a guest write was faster. */
	if (at_all_allocated(device, first, first + nr))
		return BLK_STS_OK;

	at_fill_begins(device);
	if (data)
		status = fill_data(table, first, nr, data, &wrote);
	else
		status = zero_runs(table, first, nr, false, 0);
	if (!status && wrote)
		mark_copied(device, first, first + nr);
	at_fill_ends(device, !status && wrote);
	return status;
}

blk_status_t at_fill(struct at_table *table, u64 first, u64 nr,
		     const struct dm_live_data *data, u64 *changed_blocks)
{
	struct at_device *device = table->device;
	struct dm_live_range range;
	blk_status_t status;
	u64 changed;

	if (changed_blocks)
		*changed_blocks = 0;
	if (at_all_allocated(device, first, first + nr))
		return BLK_STS_OK;
	if (at_meta_failed(table))
		return BLK_STS_IOERR;

	dm_live_range_acquire_wait(device->ranges, &range, first,
				   first + nr - 1, DM_LIVE_RANGE_EXCLUSIVE);
	status = write_copy(table, first, nr, data);
	changed = set_or_spoil(table, first, nr, status);
	dm_live_range_release(device->ranges, &range);

	if (changed_blocks)
		*changed_blocks = changed;
	return status;
}

blk_status_t at_zero_for_guest(struct at_table *table, u64 first, u64 nr,
			       blk_opf_t flags)
{
	struct at_device *device = table->device;
	struct dm_live_range range;
	blk_status_t status;

	if (at_meta_failed(table))
		return BLK_STS_IOERR;
	dm_live_range_acquire_wait(device->ranges, &range, first,
				   first + nr - 1, DM_LIVE_RANGE_EXCLUSIVE);
	status = zero_runs(table, first, nr, true, flags);
	if (!status)
		at_guest_owns(device, first, first + nr);
	set_or_spoil(table, first, nr, status);
	dm_live_range_release(device->ranges, &range);
	return status;
}

static blk_status_t read_blocks(struct at_table *table, sector_t sector,
				sector_t nr_sectors,
				const struct dm_live_data *data)
{
	sector_t present = min(nr_sectors, table->backing_sectors - sector);
	size_t present_bytes = present << SECTOR_SHIFT;
	struct dm_live_batch batch;

	dm_live_data_zero(data, present_bytes,
			  (nr_sectors - present) << SECTOR_SHIFT);
	dm_live_batch_begin(&batch, table->copier);
	dm_live_batch_rw(&batch, REQ_OP_READ, table->backing_dev->bdev, sector,
			 data, 0, present_bytes);
	return dm_live_batch_wait(&batch);
}

void at_copy(struct at_table *table, u64 first, u64 nr, struct bio *reader,
	     struct at_copy_result *result)
{
	struct at_device *device = table->device;
	sector_t sector = at_block_to_sector(device, first);
	sector_t nr_sectors = at_range_sectors(device, first, nr);
	struct dm_live_buffer *buffer;

	*result = (struct at_copy_result) { };
	if (sector >= table->backing_sectors) {
		result->write_status = at_fill(table, first, nr, NULL,
					       &result->changed_blocks);
		return;
	}

	buffer = dm_live_buffer_get(table->copier, nr_sectors << SECTOR_SHIFT);
	result->read_status = read_blocks(table, sector, nr_sectors,
					  &buffer->data);
	if (reader) {
		if (!result->read_status)
			dm_live_data_to_bio(reader, 0, &buffer->data,
					    (reader->bi_iter.bi_sector -
					     sector) << SECTOR_SHIFT,
					    reader->bi_iter.bi_size);
		reader->bi_status = result->read_status;
		bio_endio(reader);
	}
	if (!result->read_status)
		result->write_status = at_fill(table, first, nr, &buffer->data,
					       &result->changed_blocks);
	dm_live_buffer_put(table->copier, buffer);
}
