/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_INTENT_H
#define DM_CBW_TRACK_INTENT_H

/* The intent bitmap: opening and closing regions. */

struct cbw_track;

/** cbw_intent_init - for a new table */
void cbw_intent_init(struct cbw_track *track);

/** cbw_intent_start - start closing unused regions; the store is active */
void cbw_intent_start(struct cbw_track *track);

/** cbw_intent_stop - close all regions and stop the workers; no I/O is left */
void cbw_intent_stop(struct cbw_track *track);

#endif /* DM_CBW_TRACK_INTENT_H */
