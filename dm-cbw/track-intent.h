/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_INTENT_H
#define DM_CBW_TRACK_INTENT_H

/* The intent bitmap. */

struct cbw_track;

/** cbw_intent_init - for a new table */
void cbw_intent_init(struct cbw_track *track);

/** cbw_intent_start - the store is active: close regions that are not used */
void cbw_intent_start(struct cbw_track *track);

/** cbw_intent_stop - no I/O is left: nothing works on its own any more */
void cbw_intent_stop(struct cbw_track *track);

#endif /* DM_CBW_TRACK_INTENT_H */
