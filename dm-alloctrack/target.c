// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target "alloctrack": status, limits, and the life of a table.
 *
 * The constructor reads and checks; nothing is written before the resume. In
 * preresume the table takes over the device (see device.c); in postsuspend it
 * releases it, after all I/O and all copies have ended.
 */
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "alloctrack.h"
#include "allocation.h"
#include "blocks.h"
#include "device.h"
#include "fault.h"
#include "fill.h"
#include "io.h"
#include "lost-writes.h"
#include "message.h"
#include "metadata.h"
#include "names.h"
#include "per-bio.h"
#include "stream.h"
#include "submit.h"
#include "table.h"
#include "target.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"
#include "dm-live/core/memory.h"
#include "dm-live/store.h"

/* A guest discard reaches the volume in pieces of at most this size. */
#define MAX_DISCARD_SECTORS	BIT(22)

/* Workers of one device, streaming and guest I/O together. */
#define MAX_FILL_WORKERS	64

static void event_work(struct work_struct *work)
{
	struct at_table *table = container_of(work, struct at_table,
					      event_work);

	dm_table_event(table->ti->table);
}

/* All blocks are allocated: make them durable, then complete the job. */
static void complete_work(struct work_struct *work)
{
	struct at_table *table = container_of(work, struct at_table,
					      complete_work);
	struct at_device *device = table->device;
	int r;

	down_read(&device->active_rwsem);
	if (device->active != table || table->read_only ||
	    !at_is_full(device))
		goto unlock;
	r = at_meta_flush(table) ?: at_rule_out_loss(device);
	if (r) {
		at_stream_not_complete(table, errno_to_blk_status(r));
		goto unlock;
	}
	if (table->auto_remove)
		WRITE_ONCE(table->passthrough, true);
	at_stream_complete(table);
unlock:
	up_read(&device->active_rwsem);
}

static void lost_writes_work(struct work_struct *work)
{
	at_stream_lost_writes(container_of(work, struct at_table, lost_writes_work));
}

static int make_copier(struct at_table *table, struct dm_live_copier **copier)
{
	size_t max_bytes = max_t(size_t, AT_FILL_BYTES,
				 at_block_sectors(table->device) << SECTOR_SHIFT);
	int r;

	*copier = dm_live_copier_create(max_bytes);
	if (!IS_ERR(*copier))
		return 0;
	r = PTR_ERR(*copier);
	*copier = NULL;
	table->ti->error = "Cannot allocate memory for copying";
	return r;
}

static int make_workers(struct at_table *table)
{
	struct dm_target *ti = table->ti;
	int r;

	INIT_WORK(&table->deferred_work, at_deferred_work);
	INIT_WORK(&table->complete_work, complete_work);
	INIT_WORK(&table->event_work, event_work);
	INIT_WORK(&table->lost_writes_work, lost_writes_work);
	spin_lock_init(&table->deferred_lock);
	bio_list_init(&table->deferred);
	at_stream_init_workers(table);
	table->guest_jiffies = jiffies;

	r = make_copier(table, &table->copier);
	if (!r && table->target_is_zero)
		r = make_copier(table, &table->zero_checker);
	if (r)
		return r;
	table->fill_wq = alloc_workqueue("alloctrack_fill",
					 WQ_UNBOUND | WQ_MEM_RECLAIM,
					 MAX_FILL_WORKERS);
	table->submit_wq = alloc_workqueue("alloctrack_submit",
					   WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!table->fill_wq || !table->submit_wq) {
		ti->error = "Cannot allocate the workqueues";
		return -ENOMEM;
	}
	return 0;
}

static void free_table(struct at_table *table)
{
	if (table->fill_wq) {
		at_stream_stop_workers(table);
		destroy_workqueue(table->fill_wq);
	}
	if (table->submit_wq)
		destroy_workqueue(table->submit_wq);
	dm_live_store_close(table->store);
	dm_live_copier_destroy(table->copier);
	dm_live_copier_destroy(table->zero_checker);
	if (table->parked)
		at_device_put_table(table->parked, table);
	if (table->device)
		at_device_put_table(table->device, table);
	if (table->meta)
		dm_put_device(table->ti, table->meta);
	if (table->backing_dev)
		dm_put_device(table->ti, table->backing_dev);
	if (table->volume)
		dm_put_device(table->ti, table->volume);
	kfree(table);
}

static int make_table(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct at_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	int r;

	if (!table) {
		ti->error = "Cannot allocate the table";
		return -ENOMEM;
	}
	table->ti = ti;
	r = at_table_parse(table, argc, argv) ?: make_workers(table);
	if (r) {
		free_table(table);
		return r;
	}

	ti->private = table;
	ti->num_flush_bios = 1;
	/* Bits are cached here even where the devices cache nothing. */
	ti->flush_supported = !!table->meta;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	/* A discard does not use the backing. */
	ti->discards_supported =
		bdev_max_discard_sectors(table->volume->bdev) > 0;
	ti->per_io_data_size = sizeof(struct at_io);
	/* See dm_live_submit_deferred(). Bios that end here are accounted by us then. */
	ti->accounts_remapped_io = true;
	return 0;
}

static int construct(struct dm_target *ti, unsigned int argc, char **argv)
{
	return dm_live_construct(ti, argc, argv, make_table);
}

static void destroy(struct dm_target *ti)
{
	free_table(ti->private);
}

static void presuspend(struct dm_target *ti)
{
	struct at_table *table = ti->private;

	at_faults_suspend(table->device, dm_noflush_suspending(ti));
}

static void presuspend_undo(struct dm_target *ti)
{
	struct at_table *table = ti->private;

	at_faults_resume(table->device);
}

static void postsuspend(struct dm_target *ti)
{
	struct at_table *table = ti->private;

	/* No guest I/O is left. Wait for the server, then for the workers. */
	at_device_set_active(table->device, NULL);
	at_stream_stop_workers(table);
	flush_workqueue(table->fill_wq);
	flush_workqueue(table->submit_wq);
	at_meta_deactivate(table);
}

static int preresume(struct dm_target *ti)
{
	struct at_table *table = ti->private;
	int r = at_device_activate(table);

	if (r)
		return r;
	r = at_meta_activate(table);
	if (r) {
		at_device_abandon(table);
		return r;
	}
	if (!at_meta_failed(table) && at_settle_lost_writes(table))
		at_stream_rewind(table->device);
	return 0;
}

/* What the table line says about the job, on the first resume of the table. */
static void apply_features(struct at_table *table)
{
	struct at_device *device = table->device;

	if (table->target_is_zero && !device->applied &&
	    (!table->meta || table->store_is_fresh))
		device->volume_is_zero = true;
	if (table->has_stream_speed)
		at_stream_set_speed(device, table->stream_speed);
	if (table->has_on_error)
		at_stream_set_on_error(device, table->on_error);
	device->applied = true;
}

static void resume(struct dm_target *ti)
{
	struct at_table *table = ti->private;
	struct at_device *device = table->device;
	bool start = false;

	if (!table->resumed) {
		apply_features(table);
		start = table->stream;
		table->resumed = true;
	}
	at_faults_resume(device);
	at_device_set_active(device, table);
	at_complete_if_full(table);
	if (start)
		at_stream_message(table, "start");
	at_stream_kick(table);
}

/*
 * <meta rw|ro|none> <state> <allocated blocks>/<total blocks> <block size>
 * <streamed bytes> <read errors> <write errors> <#features> <feature>... [doubtful]
 */
static void emit_status(const struct at_table *table, char *result,
			unsigned int maxlen)
{
	const struct at_device *device = table->device;
	unsigned int sz = 0;

	DMEMIT("%s %s %llu/%llu %llu %llu %llu %llu ",
	       !table->meta ? "none" :
	       table->read_only || at_meta_failed(table) ? "ro" : "rw",
	       at_stream_state_name(READ_ONCE(device->stream.state)),
	       dm_live_bitmap_weight(device->bitmap),
	       device->geometry.nr_blocks, (u64)at_block_sectors(device),
	       (u64)atomic64_read(&device->streamed_bytes),
	       (u64)atomic64_read(&device->read_errors),
	       (u64)atomic64_read(&device->write_errors));
	sz = at_table_emit_features(table, sz, result, maxlen);
	if (at_is_in_doubt(device))
		DMEMIT(" doubtful");
}

static void status(struct dm_target *ti, status_type_t type,
		   unsigned int status_flags, char *result, unsigned int maxlen)
{
	struct at_table *table = ti->private;

	switch (type) {
	case STATUSTYPE_INFO:
		emit_status(table, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		at_table_emit(table, 0, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}

static int iterate_devices(struct dm_target *ti,
			   iterate_devices_callout_fn fn, void *data)
{
	struct at_table *table = ti->private;
	sector_t backing_sectors;
	int r;

	r = fn(ti, table->volume, 0, ti->len, data);
	if (r || !table->backing_dev)
		return r;
	/*
	 * The length is checked against the logical block size of the whole
	 * stack; a shorter backing need not be aligned to that.
	 */
	backing_sectors = round_down(table->backing_sectors,
				     at_block_sectors(table->device));
	return fn(ti, table->backing_dev, 0, backing_sectors, data);
}

static void io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct at_table *table = ti->private;
	struct block_device *volume = table->volume->bdev;
	unsigned int block_bytes = at_block_sectors(table->device) << SECTOR_SHIFT;
	unsigned int opt_bytes = limits->io_opt;
	unsigned int granularity;

	/* A write of whole blocks needs no fill. */
	if (!opt_bytes || opt_bytes % block_bytes)
		limits->io_opt = block_bytes;
	if (!bdev_max_discard_sectors(volume))
		return;
	granularity = max(block_bytes, bdev_discard_granularity(volume));
	dm_live_limits_set_discard(limits, granularity,
				   min_t(unsigned int, MAX_DISCARD_SECTORS,
					 bdev_max_discard_sectors(volume)));
}

static struct target_type alloctrack_target = {
	.name = "alloctrack",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = construct,
	.dtr = destroy,
	.map = at_map,
	.end_io = at_end_io,
	.presuspend = presuspend,
	.presuspend_undo = presuspend_undo,
	.postsuspend = postsuspend,
	.preresume = preresume,
	.resume = resume,
	.status = status,
	.message = at_message,
	.iterate_devices = iterate_devices,
	.io_hints = io_hints,
};

int at_target_init(void)
{
	return dm_register_target(&alloctrack_target);
}

void at_target_exit(void)
{
	dm_unregister_target(&alloctrack_target);
}
