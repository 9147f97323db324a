/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_ATTACH_H
#define DMLIVE_ATTACH_ATTACH_H

/*
 * Putting a cbw device over a volume, and taking it away.
 *
 * A volume that is not in use gets a new mapped device over it. A mapped device
 * that may be in use is changed in place ("live insertion"): its table goes to an
 * inner device, and it gets a cbw table over that. The order, and what a process
 * that is killed after each step leaves:
 *
 *  1. the inner device is made, with a copy of the table, and resumed: an inner
 *     device that nobody uses
 *  2. the cbw table is loaded on the volume, not live: that table, too
 *  3. the tables are swapped: done. With a metadata device it is suspended first, and
 * what the store says about the volume is checked: see trust.h
 *
 * and back:
 *
 *  1. the table of the inner device is loaded on the volume: nothing has changed
 *  2. the tables are swapped: an inner device that nobody uses
 *  3. the inner device is removed: done
 *
 * A swap that fails may leave the device suspended: a guard puts the old table back if
 * this process is killed then. What is left over is removed by the next attach or
 * detach.
 *
 * Functions return an exit status, after a message.
 */

#include "attach/inner.h"
#include "attach/trust.h"
#include "attach/volume.h"

struct attach_request {
	const char *name;		/* NULL: live insertion */
	const char *meta;		/* NULL: none */
	bool break_tracking;		/* when @meta fails, and not guest writes */
	uint64_t block_bytes;		/* 0: the default */
};

/*
 * A new device over @volume, which must not be in use. @trust: what is asked for is
 * taken from it, and what was found with the metadata device is put there.
 */
int attach_new(struct volume *volume, const struct attach_request *request,
	       struct trust *trust);

/* @inner: the device that was made. */
int attach_insert(struct volume *volume, const struct attach_request *request,
		  struct trust *trust, struct inner *inner);

/*
 * Take cbw away from @volume. @force: even if that ends a session, or the device is
 * suspended. @inserted: whether the device is still there.
 */
int attach_undo(struct volume *volume, bool force, bool *inserted);

/*
 * store-size.c: refuse a store on @meta that is for a volume of another size. An exit
 * status, after a message.
 */
int store_check_size(const struct volume *volume, const struct blockdev *meta);

#endif /* DMLIVE_ATTACH_ATTACH_H */
