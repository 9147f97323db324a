/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_VIEW_IO_H
#define DM_CBW_VIEW_IO_H

/* The I/O of a snapshot view. */

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/workqueue.h>

#include "dm-live/compat.h"
#include "dm-live/range-lock.h"

struct cbw_session;
struct dm_live_copier;

/**
 * struct cbw_view - one view
 * @open: the mapped device with the session
 * @device: the same, for device mapper's functions; no bdev while not open
 * @session: the session that it had when the view was made
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
 * @work: what to do when it is held, if not done at once
 * @entered: counted by the session
 * @held: the range lock is held
 * @at_store: it reads the store only
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

/** cbw_view_dispatch - I/O that waited for the gate goes on. May sleep. */
void cbw_view_dispatch(struct bio *bio);

/** cbw_view_fail - I/O that waited for the gate fails */
void cbw_view_fail(struct bio *bio);

#endif /* DM_CBW_VIEW_IO_H */
