// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata device of a table: where the allocation bitmap is durable.
 *
 * Once a table of the device was active, the bitmap in memory is authoritative, even
 * if it could not be made durable in the end. So the device also resumes when the
 * metadata device has died. As when it fails later, no more blocks become allocated, and
 * flushes that would need the metadata fail.
 *
 * The store is active, that is, written to, from preresume to postsuspend. Device
 * mapper suspends the old table before it resumes the new one, so two tables of a
 * device never write to the store at the same time. The constructor opens it, because
 * memory may be allocated freely there, but only reads and checks. After a crash the
 * bitmap on disk can be used as it is: a bit is durable only after its data are.
 */
#include <linux/blkdev.h>
#include <linux/sched/mm.h>

#include "alloctrack.h"
#include "allocation.h"
#include "blocks.h"
#include "lost-writes.h"
#include "metadata.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store.h"

/* Name of the allocation bitmap in the metadata device. */
#define BITMAP_NAME	"alloctrack"

static void store_failed(void *context)
{
	struct at_table *table = context;

	WRITE_ONCE(table->store_failed, true);
	at_raise_event(table);
}

static int flush_data(void *context)
{
	return at_flush_volume(context);
}

int at_meta_open(struct at_table *table, unsigned int block_shift)
{
	struct dm_target *ti = table->ti;
	const struct dm_live_store_params params = {
		.meta = table->meta->bdev,
		.data = table->volume->bdev,
		.size_bytes = (u64)ti->len << SECTOR_SHIFT,
		.read_only = table->read_only,
		.name = dm_table_device_name(ti->table),
		.failed = store_failed,
		.flush_data = flush_data,
		.context = table,
	};
	int r;

	table->store = dm_live_store_open(&params);
	if (IS_ERR(table->store)) {
		r = PTR_ERR(table->store);
		table->store = NULL;
		ti->error = "The metadata device is refused";
		return r;
	}
	r = dm_live_store_check(table->store, BITMAP_NAME,
				1ULL << (block_shift + SECTOR_SHIFT));
	if (r)
		ti->error = "The bitmap of the metadata device does not fit";
	return r;
}

/* To be called after the structures have been read. */
static enum dm_live_attach which_bits(const struct at_table *table)
{
	const struct at_device *device = table->device;

	if (!device->applied)
		return DM_LIVE_ATTACH_LOAD;
	if (device->lacks_bits)
		return DM_LIVE_ATTACH_IMPOSE;
	return dm_live_store_is_as_closed(table->store, device->closing) ?
	       DM_LIVE_ATTACH_SAME : DM_LIVE_ATTACH_KEEP;
}

static int activate(struct at_table *table)
{
	struct at_device *device = table->device;
	bool was_in_use;
	int r;

	r = table->read_only ? 0 : dm_live_store_claim(table->store);
	r = r ?: dm_live_store_reload(table->store);
	if (r)
		return r;
	r = dm_live_store_attach(table->store, BITMAP_NAME,
				 (u64)at_block_sectors(device) << SECTOR_SHIFT,
				 device->bitmap, which_bits(table),
				 &was_in_use);
	if (r)
		return r;
	if (was_in_use && !device->applied)
		DMWARN("%s: the allocation bitmap was not closed cleanly: recovered, %llu of %llu blocks are allocated",
		       device->name, dm_live_bitmap_weight(device->bitmap),
		       device->geometry.nr_blocks);
	table->store_is_fresh = !dm_live_store_was_used(table->store);
	if (table->read_only)
		return 0;
	device->closing = 0;
	r = dm_live_store_activate(table->store);
	table->store_active = !r;
	return r;
}

/* A device in use must not stay suspended because its metadata device died. */
static void go_on_without(struct at_table *table)
{
	DMERR("%s: resumed without its metadata device: no more blocks become allocated",
	      table->device->name);
	WRITE_ONCE(table->store_failed, true);
	at_raise_event(table);
}

int at_meta_activate(struct at_table *table)
{
	struct at_device *device = table->device;
	unsigned int noio;
	int r;

	if (!table->store)
		return 0;
	WRITE_ONCE(table->store_failed, false);
	/* The mapped device is suspended: allocations must not wait for it. */
	noio = memalloc_noio_save();
	r = activate(table);
	memalloc_noio_restore(noio);
	if (!r) {
		/* From here on the store keeps track of what is not durable. */
		if (!table->read_only)
			device->lacks_bits = false;
		return 0;
	}
	dm_live_store_release(table->store);
	DMERR("%s: cannot use the metadata device: %d", device->name, r);
	if (!device->applied || !dm_live_store_has_failed(table->store))
		return r;
	go_on_without(table);
	return 0;
}

void at_meta_deactivate(struct at_table *table)
{
	int r;

	if (!table->store_active)
		return;
	dm_live_store_deactivate(table->store);
	table->store_active = false;
	table->device->closing = dm_live_store_closing(table->store);
	table->device->lacks_bits = !dm_live_store_is_durable(table->store);
	/* The store of the next table does not know of this error. */
	r = dm_live_store_take_error(table->store);
	if (r)
		WRITE_ONCE(table->device->flush_error, r);
}

int at_meta_flush(struct at_table *table)
{
	int r;

	if (at_meta_commits(table))
		return blk_status_to_errno(dm_live_store_commit_wait(table->store));
	r = at_flush_volume(table);
	if (r)
		WRITE_ONCE(table->device->flush_error, r);
	return r;
}
