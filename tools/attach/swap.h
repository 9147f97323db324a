/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_SWAP_H
#define DMLIVE_ATTACH_SWAP_H

#include "attach/hand-over.h"
#include "attach/volume.h"
#include "base/guard.h"

/*
 * Called while the volume is suspended and its new table is loaded. It must not need
 * anything that may lie on the volume. After some seconds @guard resumes the volume; then
 * nothing may be written any more. Returns 0, or another number after a message.
 */
typedef int (*swap_settle_fn)(const struct guard *guard, void *context);

/*
 * What happens while the volume is suspended; NULL: nothing.
 * @settle: its context is @context
 * @hand_over: the table must not be live twice
 * @remove_when_closed: the device that the new table has open must not be left without it
 */
struct swap_steps {
	swap_settle_fn settle;
	void *context;
	struct hand_over *hand_over;
	const char *remove_when_closed;
};

/*
 * Give @volume another table, with I/O going on. When that or a step fails, or a signal
 * ends the wait for I/O that hangs, it has its old table again. Refused when the table of
 * @volume has changed since it was read.
 *
 * Return: an exit status, after a message.
 */
int swap_table(struct volume *volume, const struct dm_table *table,
	       const struct swap_steps *steps);

/*
 * Make the table that is loaded on the device @name the live one, with I/O going on. If
 * that fails, the device has its old table and is not suspended, or a message says that it
 * may be. 0 or a negative errno.
 */
int swap_loaded(const char *name);

#endif /* DMLIVE_ATTACH_SWAP_H */
