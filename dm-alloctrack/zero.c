// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zeroing blocks of the volume, and not writing zeros over zeros.
 *
 * With the feature target_is_zero, the volume reads as zeros where nothing was written.
 * While no write to unallocated blocks has failed, or was cut off by a crash, all of them
 * are zero (at_device.volume_is_zero), and nothing is done. From then on any of them may
 * hold a part of such a write. Writing zeros to all would take space for each of them on
 * a thin volume. So they are read, and only those that are not zero are written.
 *
 * Zeros that were read are final: in space that was never written they are no accident, as
 * the feature says, and elsewhere they have been written. A block that was found to be zero
 * counts as copied, so that a flush comes before its bit is durable: the zeros may be in
 * a volatile cache. After a flush that failed, such a cache may have zeros that it will
 * never write, so nothing is read from then on.
 */
#include <linux/blkdev.h>

#include "blocks.h"
#include "fill.h"
#include "zero.h"
#include "dm-live/copier.h"

bool at_can_write_zeroes(const struct at_table *table)
{
	return !READ_ONCE(table->volume_lacks_write_zeroes) &&
	       bdev_write_zeroes_sectors(table->volume->bdev);
}

blk_status_t at_zero_blocks(struct at_table *table, u64 block, u64 end,
			    blk_opf_t flags)
{
	sector_t sector = at_block_to_sector(table->device, block);

	return dm_live_zero_range(table->copier, table->volume->bdev, sector,
				  at_end_sector(table->device, end) - sector,
				  flags);
}

static size_t bytes_between(const struct at_table *table, u64 block, u64 end)
{
	return (at_end_sector(table->device, end) -
		at_block_to_sector(table->device, block)) << SECTOR_SHIFT;
}

static blk_status_t read_volume(struct at_table *table, u64 block, u64 end,
				const struct dm_live_data *data)
{
	struct dm_live_batch batch;

	dm_live_batch_begin(&batch, table->zero_checker);
	dm_live_batch_rw(&batch, REQ_OP_READ, table->volume->bdev,
			 at_block_to_sector(table->device, block), data, 0,
			 bytes_between(table, block, end));
	return dm_live_batch_wait(&batch);
}

/* @data: what was read from block @first on */
static bool is_zero(const struct at_table *table, u64 first, u64 block,
		    const struct dm_live_data *data)
{
	return dm_live_data_is_zero(data, bytes_between(table, first, block),
				    bytes_between(table, block, block + 1));
}

static blk_status_t zero_the_rest(struct at_table *table, u64 first, u64 end,
				  blk_opf_t flags,
				  const struct dm_live_data *data)
{
	blk_status_t status = BLK_STS_OK;
	u64 block = first, next;

	while (block < end && !status) {
		bool zero = is_zero(table, first, block, data);

		next = block + 1;
		while (next < end &&
		       is_zero(table, first, next, data) == zero)
			next++;
		if (!zero)
			status = at_zero_blocks(table, block, next, flags);
		block = next;
	}
	return status;
}

blk_status_t at_zero_unallocated(struct at_table *table, u64 block, u64 end,
				 blk_opf_t flags)
{
	u64 max_blocks = at_fill_blocks(table->device);
	blk_status_t status = BLK_STS_OK;
	struct dm_live_buffer *buffer;
	u64 next;

	if (!table->zero_checker || table->device->volume_lost_writes ||
	    at_can_write_zeroes(table))
		return at_zero_blocks(table, block, end, flags);

	next = min(end, block + max_blocks);
	buffer = dm_live_buffer_get(table->zero_checker,
				    bytes_between(table, block, next));
	for (; block < end && !status; block = next) {
		next = min(end, block + max_blocks);
		if (read_volume(table, block, next, &buffer->data))
			status = at_zero_blocks(table, block, next, flags);
		else
			status = zero_the_rest(table, block, next, flags,
					       &buffer->data);
	}
	dm_live_buffer_put(table->zero_checker, buffer);
	return status;
}
