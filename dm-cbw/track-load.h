/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_LOAD_H
#define DM_CBW_TRACK_LOAD_H

/* Loading the bitmaps of a store, and recovery after a crash. */

struct cbw_track;

/** cbw_track_check_store - check the content of the store. Sets ti->error. */
int cbw_track_check_store(struct cbw_track *track);

/**
 * cbw_track_prepare - allocate what the next load and cbw_track_begin() need
 *
 * Called in the constructor, which may fail; the store is open. Return: 0 or -ENOMEM.
 */
int cbw_track_prepare(struct cbw_track *track);

/**
 * cbw_track_load - read the store and all its bitmaps, and add what they may lack
 * With cbw_track.admin and load_lock held. A table that is not read-only has claimed
 * the store.
 */
int cbw_track_load(struct cbw_track *track);

/**
 * cbw_track_forgo_intent - stop using the intent bitmap; recovery has added its regions
 * With cbw_track.admin and load_lock held, before the store is activated.
 */
void cbw_track_forgo_intent(struct cbw_track *track);

/**
 * cbw_track_forget - unload all bitmaps, but keep their memory
 * With cbw_track.admin held.
 */
void cbw_track_forget(struct cbw_track *track);

/** cbw_track_free_bitmaps - free all bitmaps; the track is not in use any more */
void cbw_track_free_bitmaps(struct cbw_track *track);

#endif /* DM_CBW_TRACK_LOAD_H */
