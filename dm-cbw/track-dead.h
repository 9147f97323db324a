/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_DEAD_H
#define DM_CBW_TRACK_DEAD_H

/* Resuming when the metadata device has died. */

#include <linux/types.h>

struct cbw_track;

/** cbw_dead_may_follow - is the mapped device in use, with that metadata device? */
bool cbw_dead_may_follow(const struct cbw_track *track);

/** cbw_dead_enter - it was activated */
void cbw_dead_enter(struct cbw_track *track);

/** cbw_dead_leave - its table is being destroyed */
void cbw_dead_leave(struct cbw_track *track);

/**
 * cbw_dead_resume - the metadata device could not be read or written
 * Return: true: resume without it; what may be written is settled. False: it is the
 * first table, so that the resume had better fail.
 */
bool cbw_dead_resume(struct cbw_track *track);

#endif /* DM_CBW_TRACK_DEAD_H */
