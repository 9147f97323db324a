// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gaps: writes that bypassed tracking. A closed store is right about the device only if
 * nothing has written to the device since. So when it is closed, it is sealed with the
 * kernel's counts of written sectors for the origin (the device below) and the mapped
 * device: qcow2/seal.h. If the counts of the same device are equal when the store is
 * loaded again, there is no gap. Otherwise all bits of the recording bitmaps are set and
 * their generations removed, so that the next backup is a full one.
 *
 * The other kind of gap is detected at each suspend: more was written to the origin than
 * to the mapped device, although all writes should go through the latter. Only then is no
 * I/O in flight, so that the counts can be compared: some kernels count sectors when a bio
 * starts, others when it ends. The mapped device counts what is submitted to the origin,
 * and nothing that fails before that (accounts_remapped_io); a bio that is split counts
 * piece by piece. It may count more than the origin does: a write that the device below
 * rejects (NOWAIT) is submitted again.
 *
 * The counts say nothing about a store that is in use when it is loaded: that was a crash,
 * unless this table has tried to close it and failed.
 */
#include <linux/blkdev.h>
#include <linux/part_stat.h>
#include <linux/timekeeping.h>

#include "state.h"
#include "track-gap.h"
#include "track-record.h"
#include "track.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/instance.h"
#include "dm-live/store-track.h"
#include "dm-live/store.h"

static struct gendisk *mapped_disk(const struct cbw_track *track)
{
	return dm_disk(dm_table_get_md(track->table->ti->table));
}

static void look_at(const struct cbw_track *track, struct block_device *bdev,
		    struct qcow2_seal_device *device)
{
	device->seq = bdev->bd_disk->diskseq;
	device->partition = dm_live_bdev_partno(bdev);
	device->written = QCOW2_DMLIVE_SEAL_UNCOUNTED;
	device->discarded = QCOW2_DMLIVE_SEAL_UNCOUNTED;
	if (!dm_live_bdev_counts(bdev, mapped_disk(track)))
		return;
	device->written = part_stat_read(bdev, sectors[STAT_WRITE]);
	device->discarded = part_stat_read(bdev, sectors[STAT_DISCARD]);
}

static void look(const struct cbw_track *track,
		 struct qcow2_seal_device *origin,
		 struct qcow2_seal_device *device)
{
	look_at(track, track->table->origin->bdev, origin);
	look_at(track, mapped_disk(track)->part0, device);
}

/*
 * Was the store not closed? After a crash while it was being closed, only some bitmaps may
 * be marked as in use. Disabled bitmaps and the intent bitmap may keep the mark for ever.
 */
static bool was_in_use(const struct cbw_track *track)
{
	const u32 both = QCOW2_BITMAP_AUTO | QCOW2_BITMAP_IN_USE;
	u32 i;

	for (i = 0; i < dm_live_store_nr_bitmaps(track->store); i++)
		if ((dm_live_store_entry(track->store, i)->flags & both) == both)
			return true;
	return false;
}

static bool is_recording(const struct cbw_track *track)
{
	const struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, &track->bitmaps, link)
		if (bitmap->recording)
			return true;
	return false;
}

static u32 find_gap(const struct cbw_track *track,
		    const struct qcow2_seal *seal)
{
	const bool is_known = seal->flags & QCOW2_DMLIVE_SEAL_GAP;

	if (!is_recording(track) ||
	    (!is_known && !dm_live_store_was_used(track->store)))
		return QCOW2_DMLIVE_GAP_NONE;
	if (!is_known && was_in_use(track)) {
		/*
		 * A crash; or it could not be closed, which only this table knows;
		 * or it could not be opened: then the last seal is still valid.
		 */
		if (track->closed.flags)
			seal = &track->closed;
		else if (!(seal->flags & QCOW2_DMLIVE_SEAL_SEALED) ||
			 memcmp(seal->instance, dm_live_instance(),
				sizeof(seal->instance)))
			return QCOW2_DMLIVE_GAP_NONE;
	}
	return qcow2_seal_find_gap(seal, &track->origin_then,
				   &track->device_then, dm_live_instance());
}

/* Let all blocks count as changed; no bitmap belongs to a backup any more. */
static int count_all(struct cbw_track *track)
{
	struct cbw_bitmap *bitmap;
	u64 nr;
	int r;

	list_for_each_entry(bitmap, &track->bitmaps, link) {
		if (!bitmap->recording)
			continue;
		r = cbw_track_set_generation(track, bitmap, 0);
		if (r)
			return r;
		/* Crash: the seal has not changed, so the gap is found again. */
		nr = dm_live_bitmap_nr_blocks(bitmap->bits);
		track->recovered += dm_live_bitmap_set_range(bitmap->bits, 0,
							     nr);
		if (bitmap->successor)
			dm_live_bitmap_set_range(bitmap->successor, 0, nr);
	}
	return 0;
}

/*
 * The backups of sessions may have data from after the point in time, or lack data from
 * before it. That holds for sessions in any state.
 */
static void tear_sessions(struct cbw_track *track)
{
	struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, &track->bitmaps, link)
		if (bitmap->successor)
			bitmap->is_torn = true;
}

static void warn(const struct cbw_track *track, const struct qcow2_seal *seal)
{
	time64_t from = seal->gap_from_s, to = seal->gap_to_s;
	const char *reason = qcow2_seal_reason(seal->gap_reason);

	if (from)
		DMWARN("%s: changes were not tracked from %ptTs to %ptTs UTC (%s): all blocks count as changed, the next backup is full",
		       track->name, &from, &to, reason);
	else
		DMWARN("%s: changes were not tracked until %ptTs UTC (%s): all blocks count as changed, the next backup is full",
		       track->name, &to, reason);
}

/* Data that was overwritten past the target was not copied before. */
static void break_session(const struct cbw_track *track, u32 reason)
{
	struct cbw_session *session = track->table->session;

	if (session && !cbw_is(session, CBW_NEW))
		cbw_session_break(session, qcow2_seal_reason(reason));
}

static int close_gap(struct cbw_track *track, struct qcow2_seal *seal,
		     u32 reason)
{
	int r;

	tear_sessions(track);
	r = count_all(track);
	if (r)
		return r;
	/* A gap that was found before may have continued. */
	qcow2_seal_set_gap(seal, reason, seal->flags & QCOW2_DMLIVE_SEAL_GAP ?
			   seal->gap_from_s : seal->time_s, track->since_s);
	warn(track, seal);
	break_session(track, reason);
	seal->flags &= ~QCOW2_DMLIVE_SEAL_TRUSTED;
	return 0;
}

int cbw_gap_close(struct cbw_track *track)
{
	const struct qcow2_seal *found = dm_live_store_seal(track->store);
	struct qcow2_seal seal;
	u32 reason;
	int r;

	if (track->read_only)
		return 0;
	look(track, &track->origin_then, &track->device_then);
	track->since_s = ktime_get_real_seconds();
	if (!found) {
		if (!track->warned && is_recording(track))
			DMWARN("%s: metadata device: no place for a seal, so it is not noticed when changes were not tracked: run dmlive meta prepare while no table uses it",
			       track->name);
		track->warned = true;
		return 0;
	}
	seal = *found;
	reason = find_gap(track, &seal);
	if (reason) {
		r = close_gap(track, &seal, reason);
		if (r)
			return r;
	}
	qcow2_seal_break(&seal, track->since_s);
	memcpy(seal.instance, dm_live_instance(), sizeof(seal.instance));
	seal.origin = track->origin_then;
	seal.device = track->device_then;
	dm_live_store_set_seal(track->store, &seal);
	return 0;
}

/* The growth of a count, in sectors. The count may be narrower than a u64. */
static u64 growth(u64 then, u64 now)
{
	return (unsigned long)(now - then);
}

/* How many of the sectors written to the origin did not come through this target? */
static u64 bypassed(const struct cbw_track *track,
		    const struct qcow2_seal_device *origin,
		    const struct qcow2_seal_device *device)
{
	u64 below, above;

	if (!qcow2_seal_is_counted(origin) || !qcow2_seal_is_counted(device) ||
	    !qcow2_seal_is_counted(&track->origin_then) ||
	    !qcow2_seal_is_counted(&track->device_then))
		return 0;
	below = growth(track->origin_then.written, origin->written) +
		growth(track->origin_then.discarded, origin->discarded);
	above = growth(track->device_then.written, device->written) +
		growth(track->device_then.discarded, device->discarded);
	return below > above ? below - above : 0;
}

void cbw_gap_seal(struct cbw_track *track)
{
	const struct qcow2_seal *found = dm_live_store_seal(track->store);
	struct qcow2_seal seal;
	u64 now_s = ktime_get_real_seconds();
	u64 sectors;

	if (!found)
		return;
	seal = *found;
	look(track, &seal.origin, &seal.device);
	sectors = bypassed(track, &seal.origin, &seal.device);
	if (sectors) {
		DMWARN("%s: %llu sectors were written or discarded past it, directly on the device below",
		       track->name, sectors);
		qcow2_seal_set_gap(&seal, QCOW2_DMLIVE_GAP_BYPASS,
				   track->since_s, now_s);
		tear_sessions(track);
		break_session(track, QCOW2_DMLIVE_GAP_BYPASS);
	} else {
		seal.flags |= QCOW2_DMLIVE_SEAL_SEALED;
		seal.time_s = now_s;
		memcpy(seal.instance, dm_live_instance(),
		       sizeof(seal.instance));
	}
	track->closed = seal;
	dm_live_store_set_seal(track->store, &seal);
}
