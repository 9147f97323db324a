// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target "cbw-snapshot": a read-only view of the content at a point in time. Its I/O
 * is in view-io.c.
 *
 * The view holds the mapped device open, so that it cannot be removed. It does not claim
 * the device as dm_get_device() does: a mounted file system has that claim. If the table
 * of the device is replaced nevertheless, reads fail from then on.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>

#include "blocks.h"
#include "cbw.h"
#include "gate.h"
#include "session.h"
#include "snapshot.h"
#include "state.h"
#include "view-io.h"
#include "dm-live/copier.h"

/* Reads and discards that workers handle at the same time. */
#define VIEW_WORKERS	16

static void free_view(struct cbw_view *view)
{
	if (view->wq)
		destroy_workqueue(view->wq);
	dm_live_copier_destroy(view->copier);
	if (view->session)
		cbw_session_put_view(view->session);
	if (view->device.bdev)
		dm_live_bdev_close(&view->open);
	kfree(view);
}

static int find_session(struct dm_target *ti, struct cbw_view *view,
			const char *path)
{
	dev_t devt;
	int r = dm_live_bdev_open(&view->open, path);

	if (r) {
		ti->error = "Cannot open the cbw device";
		return r;
	}
	view->device.bdev = view->open.bdev;
	view->device.mode = BLK_OPEN_READ;
	devt = view->open.bdev->bd_dev;
	format_dev_t(view->device.name, devt);
	if (devt == disk_devt(dm_disk(dm_table_get_md(ti->table)))) {
		ti->error = "A device cannot be a view of itself";
		return -EINVAL;
	}
	view->session = cbw_session_find(devt);
	if (!view->session) {
		ti->error = "The device has no copy-before-write session";
		return -ENXIO;
	}
	if (ti->len > view->session->nr_sectors) {
		ti->error = "The view is larger than the cbw device";
		return -EINVAL;
	}
	return 0;
}

static int make_workers(struct dm_target *ti, struct cbw_view *view)
{
	struct dm_live_copier *copier;

	copier = dm_live_copier_create(max_t(size_t, CBW_COPY_BYTES,
					     cbw_block_bytes(view->session)));
	if (IS_ERR(copier)) {
		ti->error = "Cannot allocate memory for reading";
		return PTR_ERR(copier);
	}
	view->copier = copier;
	view->wq = alloc_workqueue("cbw_view", WQ_UNBOUND | WQ_MEM_RECLAIM,
				   VIEW_WORKERS);
	if (!view->wq) {
		ti->error = "Cannot allocate the workqueue";
		return -ENOMEM;
	}
	return 0;
}

/* <cbw device> */
static int construct(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct cbw_view *view;
	int r;

	if (argc != 1) {
		ti->error = "Needs <cbw device>, and nothing else";
		return -EINVAL;
	}
	view = kzalloc(sizeof(*view), GFP_KERNEL);
	if (!view) {
		ti->error = "Cannot allocate the view";
		return -ENOMEM;
	}
	r = find_session(ti, view, argv[0]) ?: make_workers(ti, view);
	if (r) {
		free_view(view);
		return r;
	}
	ti->private = view;
	ti->num_flush_bios = 0;
	ti->num_discard_bios = 1;
	ti->discards_supported = true;
	ti->per_io_data_size = sizeof(struct cbw_view_io);
	return 0;
}

static void destroy(struct dm_target *ti)
{
	free_view(ti->private);
}

/* <session active|broken|complete|ended> <block size> */
static void status(struct dm_target *ti, status_type_t type,
		   unsigned int status_flags, char *result, unsigned int maxlen)
{
	struct cbw_view *view = ti->private;
	struct cbw_session *session = view->session;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		DMEMIT("%s %llu",
		       READ_ONCE(session->gate) == CBW_GATE_ENDED ? "ended" :
		       cbw_state_name(READ_ONCE(session->state)),
		       (u64)cbw_block_to_sector(session, 1));
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s", view->device.name);
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}

static int iterate_devices(struct dm_target *ti,
			   iterate_devices_callout_fn fn, void *data)
{
	struct cbw_view *view = ti->private;

	return fn(ti, &view->device, 0, ti->len, data);
}

static void stack_limits(struct queue_limits *limits,
			 struct block_device *bdev)
{
	blk_stack_limits(limits, &bdev_get_queue(bdev)->limits,
			 get_start_sect(bdev));
}

static void io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct cbw_view *view = ti->private;
	struct cbw_session *session = view->session;

	/* Reads go to these devices, too. */
	if (cbw_view_pin(session)) {
		stack_limits(limits, session->store_bdev);
		if (session->target_bdev)
			stack_limits(limits, session->target_bdev);
		cbw_view_leave(session, false);
	}
	dm_live_limits_set_discard(limits, cbw_block_bytes(session),
				   UINT_MAX >> SECTOR_SHIFT);
}

struct target_type cbw_snapshot_target = {
	.name = "cbw-snapshot",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = construct,
	.dtr = destroy,
	.map = cbw_view_map,
	.end_io = cbw_view_end_io,
	.status = status,
	.iterate_devices = iterate_devices,
	.io_hints = io_hints,
};
