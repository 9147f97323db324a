/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_SNAPSHOT_H
#define DM_CBW_SNAPSHOT_H

/* The target "cbw-snapshot". */

struct target_type;

extern struct target_type cbw_snapshot_target;

#endif /* DM_CBW_SNAPSHOT_H */
