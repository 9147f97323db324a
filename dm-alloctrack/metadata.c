// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata device of a table: where the allocation bitmap is durable.
 *
 * When the table was active before, or another one of this device, the bitmap in
 * memory is the truth, also if it could not be made durable in the end.
 *
 * The store is open from preresume to postsuspend, so two tables of a device
 * never have it open for writing at the same time: device mapper suspends the
 * old one before it resumes the new one. The bitmap on disk may be used as it is
 * after a crash: a bit is durable only after the data that it speaks of.
 */
#include <linux/blkdev.h>
#include <linux/sched/mm.h>

#include "alloctrack.h"

static void store_failed(void *context)
{
	struct at_table *table = context;

	WRITE_ONCE(table->store_failed, true);
	at_raise_event(table);
}

static struct dm_live_store *open_store(struct at_table *table, bool read_only)
{
	struct dm_live_store_params params = {
		.meta = table->meta->bdev,
		.data = table->file->bdev,
		.size_bytes = (u64)table->ti->len << SECTOR_SHIFT,
		.read_only = read_only,
		.name = dm_table_device_name(table->ti->table),
		.failed = store_failed,
		.context = table,
	};

	return dm_live_store_open(&params);
}

int at_meta_check(struct at_table *table, unsigned int block_shift)
{
	struct dm_target *ti = table->ti;
	struct dm_live_store *store;
	int r;

	store = open_store(table, table->read_only);
	if (IS_ERR(store)) {
		ti->error = "The metadata device is refused";
		return PTR_ERR(store);
	}
	r = dm_live_store_check(store, AT_BITMAP_NAME,
				1ULL << (block_shift + SECTOR_SHIFT));
	if (r)
		ti->error = "The bitmap of the metadata device does not fit";
	dm_live_store_close(store);
	return r;
}

static int load(struct at_table *table)
{
	struct at_device *device = table->device;
	bool was_in_use;
	u64 weight;
	int r;

	r = dm_live_store_attach(table->store, AT_BITMAP_NAME,
				 (u64)at_block_sectors(device) << SECTOR_SHIFT,
				 device->bitmap, device->applied, &was_in_use);
	if (r)
		return r;
	weight = dm_live_bitmap_weight(device->bitmap);
	if (was_in_use && !device->applied)
		DMWARN("%s: the allocation bitmap was not closed cleanly: recovered, %llu of %llu blocks are allocated",
		       device->name, weight, device->geometry.nr_blocks);
	table->store_is_fresh = !was_in_use && !weight;
	return table->read_only ? 0 : dm_live_store_activate(table->store);
}

int at_meta_open(struct at_table *table)
{
	unsigned int noio;
	int r = 0;

	if (!table->meta)
		return 0;
	WRITE_ONCE(table->store_failed, false);
	/* The mapped device is suspended: memory must not wait for it. */
	noio = memalloc_noio_save();
	table->store = open_store(table, table->read_only);
	if (IS_ERR(table->store)) {
		r = PTR_ERR(table->store);
		table->store = NULL;
	} else {
		r = load(table);
	}
	if (r) {
		DMERR("%s: cannot use the metadata device: %d",
		      table->device->name, r);
		dm_live_store_close(table->store);
		table->store = NULL;
	}
	memalloc_noio_restore(noio);
	return r;
}

void at_meta_close(struct at_table *table)
{
	if (!table->store)
		return;
	if (!table->read_only)
		dm_live_store_deactivate(table->store);
	dm_live_store_close(table->store);
	table->store = NULL;
}

int at_meta_flush(struct at_table *table)
{
	if (!table->store)
		return blkdev_issue_flush(table->file->bdev);
	return blk_status_to_errno(dm_live_store_commit_wait(table->store));
}
