// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmaps of a table's metadata device: the life of the store. See track.h for the
 * promise and the locks, and track-record.c for what guest writes do.
 *
 * The constructor opens the store and checks it. Each resume reads it again, and recovers
 * what a crash left: track-load.c. With the policy break_tracking no intent bitmap is
 * used, so that guest writes never depend on the metadata; instead, the store on disk says
 * all the time that all blocks count as changed. Writes without tracking while the store
 * was closed are detected in track-gap.c.
 */
#include <linux/blkdev.h>
#include <linux/sched/mm.h>

#include "track-dead.h"
#include "track-gap.h"
#include "track-intent.h"
#include "track-load.h"
#include "track-record.h"
#include "track.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store-track.h"
#include "dm-live/store.h"

static void event_work(struct work_struct *work)
{
	struct cbw_track *track = container_of(work, struct cbw_track,
					       event_work);

	dm_table_event(track->table->ti->table);
}

static void store_failed(void *context)
{
	struct cbw_track *track = context;

	queue_work(track->wq, &track->event_work);
}

static int activate(struct cbw_track *track)
{
	struct cbw_recorders *recorders;
	int r = 0;

	/* Before anything is read, so that nothing else changes it after that. */
	if (!track->read_only)
		r = dm_live_store_claim(track->store);
	if (r)
		return r;
	mutex_lock(&track->load_lock);
	r = cbw_track_load(track) ?: cbw_gap_close(track);
	if (!r && track->table->config.on_meta_error == CBW_BREAK_TRACKING)
		cbw_track_forgo_intent(track);
	mutex_unlock(&track->load_lock);
	if (r || track->read_only)
		return r;
	recorders = cbw_track_alloc_recorders(track);
	if (!recorders)
		return -ENOMEM;
	cbw_track_set_recorders(track, recorders);
	dm_live_store_set_tracking(track->store, track->intent);
	r = dm_live_store_activate(track->store);
	if (r) {
		cbw_track_drop_recorders(track);
		return r;
	}
	WRITE_ONCE(track->active, true);
	if (!track->intent &&
	    track->table->config.on_meta_error != CBW_BREAK_TRACKING)
		DMWARN("%s: metadata device: no bitmap '%s' can be used: after a crash all blocks will count as changed",
		       track->name, QCOW2_DMLIVE_INTENT_NAME);
	cbw_intent_start(track);
	return 0;
}

int cbw_track_activate(struct cbw_track *track)
{
	unsigned int noio;
	int r;

	/* The mapped device is suspended, so allocations must not wait for it. */
	noio = memalloc_noio_save();
	mutex_lock(&track->admin);
	WRITE_ONCE(track->blocked, false);
	r = activate(track);
	if (!r) {
		cbw_dead_enter(track);
	} else {
		dm_live_store_release(track->store);
		DMERR("%s: cannot use the metadata device: %d", track->name, r);
		if (dm_live_store_has_failed(track->store) &&
		    cbw_dead_resume(track)) {
			cbw_track_forget(track);
			r = 0;
		}
	}
	mutex_unlock(&track->admin);
	memalloc_noio_restore(noio);
	return r;
}

void cbw_track_deactivate(struct cbw_track *track)
{
	if (!track->active)
		return;
	cbw_intent_stop(track);
	mutex_lock(&track->admin);
	cbw_gap_seal(track);
	dm_live_store_deactivate(track->store);
	track->all_unknown = !track->intent &&
			     dm_live_store_is_marked(track->store);
	WRITE_ONCE(track->active, false);
	cbw_track_drop_recorders(track);
	mutex_unlock(&track->admin);
}

static const char *state_of(struct cbw_track *track)
{
	if (track->read_only)
		return "ro";
	return dm_live_store_has_failed(track->store) ? "failed" : "rw";
}

static const char *bitmap_state(const struct cbw_bitmap *bitmap)
{
	if (!READ_ONCE(bitmap->recording))
		return "disabled";
	return READ_ONCE(bitmap->successor) ? "frozen" : "recording";
}

static unsigned int emit_name(const char *name, unsigned int sz, char *result,
			      unsigned int maxlen)
{
	for (; *name; name++) {
		if ((u8)*name <= ' ' || *name == '\\' || *name == 0x7f)
			DMEMIT("\\%03o", (u8)*name);
		else
			DMEMIT("%c", *name);
	}
	return sz;
}

/*
 * <ro|rw|failed> <open>/<regions> <recovered> <#bitmaps> and for each
 * <name> <granularity> <recording|frozen|disabled> <set> <generation>
 */
unsigned int cbw_track_emit(struct cbw_track *track, unsigned int sz,
			    char *result, unsigned int maxlen)
{
	struct cbw_bitmap *bitmap;
	unsigned int nr = 0;

	mutex_lock(&track->load_lock);
	list_for_each_entry(bitmap, &track->bitmaps, link)
		nr++;
	DMEMIT("%s %llu/%llu %llu %u", state_of(track),
	       track->open ? dm_live_bitmap_weight(track->open) : 0,
	       track->open ? dm_live_bitmap_nr_blocks(track->open) : 0,
	       track->recovered, nr);
	list_for_each_entry(bitmap, &track->bitmaps, link) {
		DMEMIT(" ");
		sz = emit_name(bitmap->name, sz, result, maxlen);
		DMEMIT(" %llu %s %llu %llu", 1ULL << bitmap->shift,
		       bitmap_state(bitmap),
		       dm_live_bitmap_weight(bitmap->bits),
		       READ_ONCE(bitmap->generation));
	}
	mutex_unlock(&track->load_lock);
	return sz;
}

static int open_store(struct cbw_track *track)
{
	struct cbw_table *table = track->table;
	struct dm_target *ti = table->ti;
	const struct dm_live_store_params params = {
		.meta = table->meta->bdev,
		.size_bytes = track->size_bytes,
		.read_only = track->read_only,
		.may_be_dead = cbw_dead_may_follow(track),
		.name = track->name,
		.failed = store_failed,
		.context = track,
	};
	int r;

	track->store = dm_live_store_open(&params);
	if (IS_ERR(track->store)) {
		r = PTR_ERR(track->store);
		track->store = NULL;
		ti->error = "The metadata device is refused";
		return r;
	}
	r = cbw_track_check_store(track);
	if (r)
		return r;
	r = cbw_track_prepare(track);
	if (r)
		ti->error = "Cannot allocate memory for the bitmaps";
	return r;
}

int cbw_track_open(struct cbw_table *table)
{
	struct dm_target *ti = table->ti;
	struct cbw_track *track = kzalloc(sizeof(*track), GFP_KERNEL);

	if (!track) {
		ti->error = "Cannot allocate change tracking";
		return -ENOMEM;
	}
	table->track = track;
	track->table = table;
	track->name = dm_table_device_name(ti->table);
	track->read_only = !(dm_table_get_mode(ti->table) & BLK_OPEN_WRITE);
	track->size_bytes = (u64)ti->len << SECTOR_SHIFT;
	mutex_init(&track->admin);
	mutex_init(&track->load_lock);
	INIT_LIST_HEAD(&track->link);
	INIT_LIST_HEAD(&track->bitmaps);
	INIT_LIST_HEAD(&track->spare);
	INIT_WORK(&track->event_work, event_work);
	cbw_intent_init(track);
	track->wq = alloc_workqueue("cbw_track", WQ_UNBOUND | WQ_MEM_RECLAIM,
				    0);
	if (!track->wq) {
		ti->error = "Cannot allocate change tracking";
		return -ENOMEM;
	}
	return open_store(track);
}

void cbw_track_close(struct cbw_track *track)
{
	if (!track)
		return;
	/* If it was activated, but the device was not resumed. */
	cbw_track_deactivate(track);
	cbw_dead_leave(track);
	dm_live_store_close(track->store);
	if (track->wq) {
		/* dm_table_event() has no effect on a table that is being destroyed. */
		cancel_work_sync(&track->event_work);
		destroy_workqueue(track->wq);
	}
	cbw_track_free_bitmaps(track);
	kfree(track);
}
