/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_MESSAGE_H
#define DM_CBW_TRACK_MESSAGE_H

/* Messages of change tracking. */

struct cbw_table;

/** cbw_track_message - a message that begins with "bitmap" or "backup" */
int cbw_track_message(struct cbw_table *table, unsigned int argc, char **argv);

#endif /* DM_CBW_TRACK_MESSAGE_H */
