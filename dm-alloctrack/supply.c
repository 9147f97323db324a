// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a server supplies: data (FILL), zeros (ZERO) or an error (FAIL).
 *
 * FILL and ZERO work in pieces, between which the device may be suspended. No lock is
 * held while user memory is accessed: the pages of a FILL are pinned first.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alloctrack.h"
#include "blocks.h"
#include "fault.h"
#include "fill.h"
#include "stream.h"
#include "supply.h"
#include "dm-live/copier.h"

/* ZERO works in pieces of this size. */
#define ZERO_BYTES		(64u << 20)

/* The buffer of a FILL is aligned to this, whatever the size of a page. */
#define BUFFER_ALIGNMENT	4096u

/*
 * Get the active table, and keep it active until put_table(). Waits while the
 * device is suspended.
 */
static struct at_table *get_table(struct at_device *device,
				  const struct file *file)
{
	for (;;) {
		down_read(&device->active_rwsem);
		if (device->active)
			return device->active;
		up_read(&device->active_rwsem);

		if (READ_ONCE(device->gone))
			return ERR_PTR(-ENODEV);
		if (file->f_flags & O_NONBLOCK)
			return ERR_PTR(-EAGAIN);
		if (wait_event_interruptible(device->wait,
					     READ_ONCE(device->active) ||
					     READ_ONCE(device->gone)))
			return ERR_PTR(-EINTR);
	}
}

static void put_table(struct at_table *table)
{
	up_read(&table->device->active_rwsem);
}

/* Check a range in bytes and convert it to blocks. */
static int parse_range(const struct at_device *device, u64 offset, u64 length,
		       u64 *first, u64 *nr)
{
	u64 block_bytes = (u64)at_block_sectors(device) << SECTOR_SHIFT;
	u64 device_bytes = (u64)device->geometry.nr_sectors << SECTOR_SHIFT;

	if (!length || offset >= device_bytes || length > device_bytes - offset)
		return -EINVAL;
	if (offset & (block_bytes - 1))
		return -EINVAL;
	if ((length & (block_bytes - 1)) && offset + length != device_bytes)
		return -EINVAL;
	*first = at_sector_to_block(device, offset >> SECTOR_SHIFT);
	*nr = DIV_ROUND_UP_ULL(length, block_bytes);
	return 0;
}

/* One piece of a FILL or a ZERO: serve, fill, serve again (see fault.c). */
static blk_status_t supply(struct at_table *table, u64 first, u64 nr,
			   const struct dm_live_data *data, u64 *changed)
{
	struct at_device *device = table->device;
	blk_status_t status;

	at_faults_serve(device, first, nr, data);
	status = at_fill(table, first, nr, data, changed);
	at_faults_serve(device, first, nr, data);
	at_faults_settle(device, first, nr, status);
	return status;
}

static int supply_piece(struct at_device *device, const struct file *file,
			u32 flags, u64 first, u64 nr,
			const struct dm_live_data *data, __u64 *used_bytes)
{
	struct at_table *table = get_table(device, file);
	blk_status_t status;
	u64 changed = 0;

	if (IS_ERR(table))
		return PTR_ERR(table);
	if (table->read_only) {
		at_faults_serve(device, first, nr, data);
		put_table(table);
		return -EROFS;
	}
	status = supply(table, first, nr, data, &changed);
	if (flags & DM_ALLOCTRACK_STREAM)
		at_count_streamed(device, first, nr, changed);
	if (status && (flags & DM_ALLOCTRACK_STREAM))
		at_stream_error(table, first, status, false);
	else if (status)
		atomic64_inc(&device->write_errors);
	put_table(table);

	*used_bytes += changed == nr ?
		       (u64)at_range_sectors(device, first, nr) << SECTOR_SHIFT :
		       (changed * at_block_sectors(device)) << SECTOR_SHIFT;
	return blk_status_to_errno(status);
}

static int fill_piece(struct at_device *device, const struct file *file,
		      struct dm_alloctrack_fill *fill, u64 first, u64 nr,
		      unsigned long address, size_t bytes, struct page **pages)
{
	struct dm_live_data data = {
		.pages = pages,
		.offset_bytes = offset_in_page(address),
	};
	int nr_pages = DIV_ROUND_UP(data.offset_bytes + bytes, PAGE_SIZE);
	int pinned, r;

	pinned = pin_user_pages_fast(address & PAGE_MASK, nr_pages, 0, pages);
	/* Newer kernels have an error of its own for a range that wraps around. */
	if (pinned < 0)
		return pinned == -EOVERFLOW ? -EFAULT : pinned;
	r = -EFAULT;
	if (pinned == nr_pages)
		r = supply_piece(device, file, fill->flags, first, nr, &data,
				 &fill->used_bytes);
	unpin_user_pages(pages, pinned);
	return r;
}

int at_supply_fill(struct at_device *device, const struct file *file,
		   struct dm_alloctrack_fill *fill)
{
	u64 piece_blocks = at_fill_blocks(device);
	u64 first, nr, position = 0;
	struct page **pages;
	int r;

	fill->used_bytes = 0;
	if (fill->flags & ~DM_ALLOCTRACK_STREAM ||
	    fill->length > DM_ALLOCTRACK_MAX_FILL_BYTES ||
	    fill->buffer & (BUFFER_ALIGNMENT - 1) ||
	    fill->buffer != (unsigned long)fill->buffer)
		return -EINVAL;
	r = parse_range(device, fill->offset, fill->length, &first, &nr);
	if (r)
		return r;

	pages = kvmalloc_array((at_range_sectors(device, 0, piece_blocks) >>
				PAGE_SECTORS_SHIFT) + 2, sizeof(*pages),
			       GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	while (nr && !r) {
		u64 piece = min(nr, piece_blocks);
		size_t bytes = (size_t)at_range_sectors(device, first, piece)
			       << SECTOR_SHIFT;

		r = fill_piece(device, file, fill, first, piece,
			       (unsigned long)fill->buffer + position, bytes,
			       pages);
		position += bytes;
		first += piece;
		nr -= piece;
	}
	kvfree(pages);
	return r;
}

int at_supply_zero(struct at_device *device, const struct file *file,
		   struct dm_alloctrack_zero *zero)
{
	u64 piece_blocks = max_t(u64, 1, at_sector_to_block(device,
						ZERO_BYTES >> SECTOR_SHIFT));
	u64 first, nr;
	int r;

	zero->used_bytes = 0;
	if (zero->flags & ~DM_ALLOCTRACK_STREAM)
		return -EINVAL;
	r = parse_range(device, zero->offset, zero->length, &first, &nr);
	while (!r && nr) {
		u64 piece = min(nr, piece_blocks);

		r = supply_piece(device, file, zero->flags, first, piece,
				 NULL, &zero->used_bytes);
		first += piece;
		nr -= piece;
		if (!r && signal_pending(current) && nr)
			r = -EINTR;
	}
	return r;
}

/*
 * The status of failed I/O. Not errno_to_blk_status(): some errnos would ask the block
 * layer for something else, such as to try again.
 */
static blk_status_t status_of_errno(u32 error)
{
	switch (error) {
	case ENOSPC:
		return BLK_STS_NOSPC;
	case ETIMEDOUT:
		return BLK_STS_TIMEOUT;
	case ENODATA:
		return BLK_STS_MEDIUM;
	case EILSEQ:
		return BLK_STS_PROTECTION;
	default:
		return BLK_STS_IOERR;
	}
}

int at_supply_fail(struct at_device *device, const struct file *file,
		   struct dm_alloctrack_fail *fail)
{
	struct at_table *table;
	blk_status_t status;
	u64 first, nr;
	int r;

	if (fail->flags & ~DM_ALLOCTRACK_STREAM || fail->reserved ||
	    !fail->error || fail->error > MAX_ERRNO)
		return -EINVAL;
	r = parse_range(device, fail->offset, fail->length, &first, &nr);
	if (r)
		return r;

	status = status_of_errno(fail->error);
	at_faults_fail(device, first, nr, status);
	if (!(fail->flags & DM_ALLOCTRACK_STREAM))
		return 0;
	table = get_table(device, file);
	if (IS_ERR(table))
		return PTR_ERR(table);
	at_stream_error(table, first, status, true);
	put_table(table);
	return 0;
}
