/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_ATTACH_H
#define DMLIVE_ATTACH_ATTACH_H

/*
 * Puts a cbw device over a volume, and takes it away.
 *
 * A volume that is not in use gets a new mapped device over it. A mapped device that may
 * be in use is changed in place ("live insertion"): its table moves to an inner device,
 * and it gets a cbw table over that. The steps, and what a process that is killed after
 * each of them leaves behind:
 *
 *  1. the inner device is made: an inner device that is not used
 *  2. the cbw table is loaded on the volume: the same, and an inactive table
 *  3. the tables are swapped: done
 *
 * and back:
 *
 *  1. the table of the inner device is loaded on the volume: an inactive table
 *  2. the tables are swapped: an inner device that is not used
 *  3. the inner device is removed: done
 *
 * The kernel swaps in one step, unless the volume must be suspended for what has to be
 * done in between: checking the store (trust.h), or moving a table that must not be live
 * twice (hand-over.h). If this process is killed then, or the new table cannot be resumed,
 * a guard puts the old table back. The next attach or detach removes what is left.
 *
 * Functions return an exit status, after a message.
 */

#include "attach/inner.h"
#include "attach/trust.h"
#include "attach/volume.h"

struct attach_request {
	const char *name;		/* NULL: live insertion */
	const char *meta;		/* NULL: none */
	bool break_tracking;		/* not guest writes, when @meta fails */
	bool has_policy;		/* the user has chosen @break_tracking */
	uint64_t block_bytes;		/* 0: the default */
	bool is_persistent;		/* on record, see persist.h */
};

/*
 * Make a new device over @volume, which must not be in use. @trust has the options of
 * the user, and gets what was found on the metadata device.
 */
int attach_new(struct volume *volume, const struct attach_request *request,
	       struct trust *trust);

/* Insert cbw into @volume. @inner gets the inner device. */
int attach_insert(struct volume *volume, const struct attach_request *request,
		  struct trust *trust, struct inner *inner);

/*
 * Take cbw away from @volume. @force: even if that ends a session, or the device is
 * suspended. @inserted: cbw had been inserted, so the device is still there.
 */
int attach_undo(struct volume *volume, bool force, bool *inserted);

/*
 * store-size.c: refuse a store on @meta that was made for a volume of another size.
 */
int store_check_size(const struct volume *volume, const struct blockdev *meta);

#endif /* DMLIVE_ATTACH_ATTACH_H */
