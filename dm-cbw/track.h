/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_H
#define DM_CBW_TRACK_H

/*
 * Change tracking: the bitmaps of a table's metadata device.
 *
 * The one promise: at any moment, also after a crash, a block that was written to
 * while its bitmap was recording is set in the bitmap. It may have bits too many.
 *
 * A guest write passes when all regions (of 16 MiB) that it touches are open, that is
 * when their bits in the intent bitmap are durable. In the same RCU read section it
 * sets its bits in the recording bitmaps. Else it is parked till a worker has opened
 * its regions: track-intent.c. Without an intent bitmap all writes pass, and a crash
 * sets all bits.
 *
 * Locks: cbw_track.admin (a mutex) serializes whoever changes what is recorded, and
 * is held while regions are closed; cbw_track.intent_lock (a mutex) protects the
 * intent bitmap, and is held while it is written; cbw_track.load_lock (a mutex) is held
 * while all is loaded anew. In this order. What records is found under RCU. The status
 * takes the last one only: so it is there also while the metadata device hangs.
 */

#include <linux/mutex.h>
#include <linux/rcupdate.h>

#include "cbw.h"
#include "dm-live/store.h"
#include "dm-live/store-track.h"

/**
 * struct cbw_bitmap - a bitmap of the store that is the user's
 * @name: terminated
 * @shift: log2 of the bytes that a bit stands for
 * @recording: it is attached to the store, and among the recorders
 * @bits: what stands on disk, or will
 * @successor: while a session is on it: the bits of what was written since; else NULL.
 *	All of them are set in @bits too.
 * @generation: which is durable in the store; 0: it goes with no backup
 * @flush_errors: cbw_track.flush_errors when the session began
 * @keep_bits: a flush had failed before: a commit takes no bits away
 * @is_torn: changes were not tracked during the session: it cannot be committed
 * @cleared: see track-durable.c
 *
 * All but @successor and @recording lives till all is loaded anew.
 */
struct cbw_bitmap {
	struct list_head link;
	char *name;
	unsigned int shift;
	bool recording;
	struct dm_live_bitmap *bits;
	struct dm_live_bitmap *successor;
	u64 generation;
	unsigned int flush_errors;
	bool keep_bits;
	bool is_torn;
	bool cleared;
};

/** struct cbw_recorders - where guest writes set bits; never changed, replaced */
struct cbw_recorders {
	unsigned int nr;
	struct cbw_recorder {
		unsigned int shift;
		struct dm_live_bitmap *bits;
	} list[];
};

/**
 * struct cbw_track - change tracking of one table
 * @link: see track-dead.c
 * @active: between preresume and postsuspend of a table that is not read-only
 * @blocked: resumed without metadata, so that no write may pass; then nothing is loaded
 * @all_unknown: valid while not @active: on disk it is durable that nobody knows what
 *	has changed
 * @may_have_lost: a flush has failed under an earlier table of the mapped device
 * @warned: that the store has no place for a seal
 * @origin_then: the origin when all was loaded; see track-gap.c, as for the next three
 * @device_then: the mapped device then
 * @since_s: when that was
 * @closed: the seal that the store should have been closed with; no flags: none
 * @bitmaps: struct cbw_bitmap, in the order of the directory; @admin
 * @spare: others, whose memory the next load uses; @admin, as the next two
 * @spare_successor: for the session that is to begin on a bitmap, or NULL
 * @spare_intent: the memory of @intent, @open and @touched, used or not
 * @recorders: RCU; replaced under @admin
 * @recovered: bits that were added since nobody knows, at the last activation
 * @flush_errors: how often a flush of the origin has failed, whoever asked for it
 * @region_shift: log2 of the bytes of a region
 * @intent: what stands on disk, or will; @intent_lock; NULL: there is none
 * @open: regions into which writes may go
 * @touched: regions that were written to since the closer looked
 * @lock: protects @parked
 * @parked: writes that wait for their regions
 */
struct cbw_track {
	struct cbw_table *table;
	const char *name;
	struct dm_live_store *store;
	struct list_head link;
	bool read_only;
	bool active;
	bool blocked;
	bool all_unknown;
	bool may_have_lost;
	bool warned;
	u64 size_bytes;
	struct qcow2_seal_device origin_then;
	struct qcow2_seal_device device_then;
	u64 since_s;
	struct qcow2_seal closed;

	struct mutex admin;	/* see above */
	struct list_head bitmaps;
	struct list_head spare;
	struct dm_live_bitmap *spare_successor;
	struct dm_live_bitmap *spare_intent[3];
	struct cbw_recorders __rcu *recorders;
	u64 recovered;
	atomic_t flush_errors;
	struct mutex load_lock;	/* see above */

	struct mutex intent_lock;	/* see above */
	unsigned int region_shift;
	struct dm_live_bitmap *intent;
	struct dm_live_bitmap *open;
	struct dm_live_bitmap *touched;

	spinlock_t lock;	/* see above */
	struct bio_list parked;

	struct workqueue_struct *wq;
	struct work_struct open_work;
	struct delayed_work close_work;
	struct work_struct event_work;
};

/** cbw_track_bits - how many bits a bitmap has in which a bit is 1 << @shift bytes */
static inline u64 cbw_track_bits(const struct cbw_track *track,
				 unsigned int shift)
{
	return ((track->size_bytes - 1) >> shift) + 1;
}

/**
 * cbw_track_open - open the metadata device of a table that is being constructed
 * Return: 0, or an errno with ti->error set.
 */
int cbw_track_open(struct cbw_table *table);

/** cbw_track_close - NULL is ignored */
void cbw_track_close(struct cbw_track *track);

/**
 * cbw_track_activate - before the resume: load, recover, and record from now on
 *
 * When the metadata device has died and the mapped device was in use, it is resumed
 * without: then the track is not active.
 */
int cbw_track_activate(struct cbw_track *track);

/** cbw_track_deactivate - after the suspend: make all durable, and close the store */
void cbw_track_deactivate(struct cbw_track *track);

/** cbw_track_emit - the last words of the status */
unsigned int cbw_track_emit(struct cbw_track *track, unsigned int sz,
			    char *result, unsigned int maxlen);

#endif /* DM_CBW_TRACK_H */
