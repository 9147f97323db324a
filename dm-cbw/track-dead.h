/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_DEAD_H
#define DM_CBW_TRACK_DEAD_H

/* Resuming when the metadata device has failed. */

#include <linux/types.h>

struct cbw_track;

/** cbw_dead_may_follow - is the mapped device in use with the same metadata device? */
bool cbw_dead_may_follow(const struct cbw_track *track);

/** cbw_dead_enter - the track was activated */
void cbw_dead_enter(struct cbw_track *track);

/** cbw_dead_leave - the table of the track is being destroyed */
void cbw_dead_leave(struct cbw_track *track);

/**
 * cbw_dead_resume - the metadata device could not be read or written
 * Return: true: resume without it; whether writes may pass is decided. False: it is the
 * first table, so the resume should fail.
 */
bool cbw_dead_resume(struct cbw_track *track);

#endif /* DM_CBW_TRACK_DEAD_H */
