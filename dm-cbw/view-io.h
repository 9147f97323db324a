/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_VIEW_IO_H
#define DM_CBW_VIEW_IO_H

/* The I/O of a snapshot view. */

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/workqueue.h>

#include "dm-live/compat.h"
#include "dm-live/core/range-lock.h"

struct cbw_session;
struct dm_live_copier;

/**
 * struct cbw_view - one view
 * @open: the mapped device with the session
 * @device: the same, for device mapper's functions; bdev is NULL while it is not open
 * @session: the session that the device had when the view was created
 * @copier: buffers for reads that are gathered
 * @wq: for reads that are gathered, and discards
 */
struct cbw_view {
	struct dm_live_bdev open;
	struct dm_dev device;
	struct cbw_session *session;
	struct dm_live_copier *copier;
	struct workqueue_struct *wq;
};

/**
 * struct cbw_view_io - per-bio data
 * @view: the view
 * @range: the lock of the blocks
 * @work: what is done once the lock is held, unless it is done at once
 * @entered: the session counts this I/O
 * @held: the range lock is held
 * @at_store: the I/O uses the store only
 */
struct cbw_view_io {
	struct cbw_view *view;
	struct dm_live_range range;
	struct work_struct work;
	bool entered;
	bool held;
	bool at_store;
};

int cbw_view_map(struct dm_target *ti, struct bio *bio);
int cbw_view_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);

/** cbw_view_dispatch - go on with I/O that waited for the gate. May sleep. */
void cbw_view_dispatch(struct bio *bio);

/** cbw_view_fail - fail I/O that waited for the gate */
void cbw_view_fail(struct bio *bio);

#endif /* DM_CBW_VIEW_IO_H */
