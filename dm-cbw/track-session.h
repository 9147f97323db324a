/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_SESSION_H
#define DM_CBW_TRACK_SESSION_H

/* Sessions on a bitmap. */

#include <linux/types.h>

struct cbw_bitmap;
struct cbw_session;
struct cbw_track;

/**
 * cbw_track_begin - begin a session on a bitmap; no I/O is under way
 *
 * From now on the successor records, too. Unless the bitmap starts from scratch, the
 * scope of the session becomes the blocks that are set in the bitmap.
 */
int cbw_track_begin(struct cbw_track *track, struct cbw_session *session);

/**
 * cbw_track_commit - the backup is complete: replace the bits by those of the successor
 * @generation: the generation that the backup has recorded
 * With cbw_track.admin held. Return: 0; an errno with *@why set.
 */
int cbw_track_commit(struct cbw_track *track, struct cbw_bitmap *bitmap,
		     u64 generation, const char **why);

/** cbw_track_abort - drop the successor: the bitmap keeps all. With cbw_track.admin held. */
int cbw_track_abort(struct cbw_track *track, struct cbw_bitmap *bitmap);

#endif /* DM_CBW_TRACK_SESSION_H */
