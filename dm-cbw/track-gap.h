/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_GAP_H
#define DM_CBW_TRACK_GAP_H

/* Gaps: writes that bypassed tracking. */

struct cbw_track;

/**
 * cbw_gap_close - if changes were not tracked, let all blocks count as changed
 *
 * Called when the store is loaded and not active yet, but claimed: generations are
 * removed from it at once. With cbw_track.admin held.
 */
int cbw_gap_close(struct cbw_track *track);

/**
 * cbw_gap_seal - seal the store with the state of the devices, for its next user
 * No I/O is under way; the store is still active. With cbw_track.admin held.
 */
void cbw_gap_seal(struct cbw_track *track);

#endif /* DM_CBW_TRACK_GAP_H */
