/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_SNAPSHOT_H
#define DM_CBW_SNAPSHOT_H

/* The target "cbw-snapshot". */

struct bio;
struct target_type;

extern struct target_type cbw_snapshot_target;

/** cbw_view_dispatch - I/O that waited for the gate goes on. May sleep. */
void cbw_view_dispatch(struct bio *bio);

/** cbw_view_fail - I/O that waited for the gate fails */
void cbw_view_fail(struct bio *bio);

#endif /* DM_CBW_SNAPSHOT_H */
