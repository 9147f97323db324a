/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_DURABLE_H
#define DM_CBW_TRACK_DURABLE_H

/* Flushes of the origin, which must succeed before bits are cleared. */

#include <linux/types.h>

struct cbw_bitmap;
struct cbw_track;

/** cbw_track_flush_failed - record a failed flush of the origin. Any context. */
void cbw_track_flush_failed(struct cbw_track *track);

/**
 * cbw_track_flush_origin - make durable what the guest has written
 *
 * With cbw_track.admin held; guest I/O never waits for that. Sleeps until the origin
 * has completed the flush. Logs an error. Return: 0; else no bit may be cleared.
 */
int cbw_track_flush_origin(struct cbw_track *track);

/** cbw_track_note_flushes - remember the failed flushes: a session on the bitmap begins */
void cbw_track_note_flushes(struct cbw_track *track, struct cbw_bitmap *bitmap);

/** cbw_track_lost_data - has a flush of the origin failed since the session began? */
bool cbw_track_lost_data(const struct cbw_track *track,
			 const struct cbw_bitmap *bitmap);

/**
 * cbw_track_settle_clears - before regions are closed
 * @is_idle: no write is under way
 * With cbw_track.admin held. May set bits, which the caller then makes durable.
 */
void cbw_track_settle_clears(struct cbw_track *track, bool is_idle);

#endif /* DM_CBW_TRACK_DURABLE_H */
