/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_RECORD_H
#define DM_CBW_TRACK_RECORD_H

/* Recording: which bitmaps guest writes set, and whether a write may pass. */

#include <linux/types.h>

struct bio;
struct cbw_bitmap;
struct cbw_recorders;
struct cbw_track;

/** cbw_track_find - a bitmap by its name, or NULL; with cbw_track.admin held */
struct cbw_bitmap *cbw_track_find(struct cbw_track *track, const char *name);

/**
 * cbw_track_set_generation - change the generation of a bitmap, durably
 * With cbw_track.admin held. Return: as dm_live_store_set_generation().
 */
int cbw_track_set_generation(struct cbw_track *track, struct cbw_bitmap *bitmap,
			     u64 generation);

/**
 * cbw_track_alloc_recorders - with room for all bitmaps and their successors
 * With cbw_track.admin held, before anything is changed. Return: NULL: out of memory.
 */
struct cbw_recorders *cbw_track_alloc_recorders(struct cbw_track *track);

/**
 * cbw_track_set_recorders - have guest writes set the bitmaps that are recording now
 * @recorders: as allocated; owned by the track from now on
 * With cbw_track.admin held. On return the former recorders are not in use any more.
 */
void cbw_track_set_recorders(struct cbw_track *track,
			     struct cbw_recorders *recorders);

/** cbw_track_drop_recorders - record nothing. With cbw_track.admin held. */
void cbw_track_drop_recorders(struct cbw_track *track);

/**
 * cbw_track_record - set the bits of a write if its regions are open
 * Context: any that may take the RCU read lock. Return: false if they are not open.
 */
bool cbw_track_record(struct cbw_track *track, sector_t first, sector_t nr);

/** cbw_track_park - keep the write until its regions are open. Any context. */
void cbw_track_park(struct cbw_track *track, struct bio *bio);

#endif /* DM_CBW_TRACK_RECORD_H */
