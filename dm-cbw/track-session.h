/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_SESSION_H
#define DM_CBW_TRACK_SESSION_H

/* Sessions on a bitmap. */

#include <linux/types.h>

struct cbw_bitmap;
struct cbw_session;
struct cbw_track;

/**
 * cbw_track_begin - a session on a bitmap begins; no I/O is under way
 *
 * What is recorded from now on is in the successor too. Unless the session begins a
 * new bitmap, its scope becomes what the bitmap has.
 */
int cbw_track_begin(struct cbw_track *track, struct cbw_session *session);

/**
 * cbw_track_commit - the backup is complete: the bitmap becomes its successor
 * @generation: which the backup has recorded
 * With cbw_track.admin held. Return: 0; an errno with *@why set.
 */
int cbw_track_commit(struct cbw_track *track, struct cbw_bitmap *bitmap,
		     u64 generation, const char **why);

/** cbw_track_abort - it is not: the bitmap has all. With cbw_track.admin held. */
int cbw_track_abort(struct cbw_track *track, struct cbw_bitmap *bitmap);

#endif /* DM_CBW_TRACK_SESSION_H */
