/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_DURABLE_H
#define DM_CBW_TRACK_DURABLE_H

/* Flushes of the origin, on which it depends whether bits may go. */

#include <linux/types.h>

struct cbw_bitmap;
struct cbw_track;

/** cbw_track_flush_failed - a flush of the origin has failed. Any context. */
void cbw_track_flush_failed(struct cbw_track *track);

/**
 * cbw_track_flush_origin - make durable what the guest has written
 *
 * With cbw_track.admin held, which no guest I/O waits for. Sleeps, for as long as the
 * origin takes. Return: 0, or an error, which is logged: then no bit may be cleared.
 */
int cbw_track_flush_origin(struct cbw_track *track);

/** cbw_track_note_flushes - a session on the bitmap begins */
void cbw_track_note_flushes(struct cbw_track *track, struct cbw_bitmap *bitmap);

/** cbw_track_lost_data - has a flush of the origin failed since the session began? */
bool cbw_track_lost_data(const struct cbw_track *track,
			 const struct cbw_bitmap *bitmap);

/**
 * cbw_track_settle_clears - before regions are closed
 * @is_idle: no write is under way
 * With cbw_track.admin held. Sets bits if need be; they are to be made durable then.
 */
void cbw_track_settle_clears(struct cbw_track *track, bool is_idle);

#endif /* DM_CBW_TRACK_DURABLE_H */
