/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_GAP_H
#define DM_CBW_TRACK_GAP_H

/* Gaps: writes that went past tracking. */

struct cbw_track;

/**
 * cbw_gap_close - is there a gap in what was recorded? Then all blocks count as changed
 *
 * With all loaded, before the store is activated; but it is claimed, since generations
 * go from it at once. With cbw_track.admin held.
 */
int cbw_gap_close(struct cbw_track *track);

/**
 * cbw_gap_seal - record how the devices are, for who uses the store next
 * No I/O is under way. Before the store is deactivated. With cbw_track.admin held.
 */
void cbw_gap_seal(struct cbw_track *track);

#endif /* DM_CBW_TRACK_GAP_H */
