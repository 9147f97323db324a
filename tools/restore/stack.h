/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_STACK_H
#define DMLIVE_RESTORE_STACK_H

/*
 * The two devices of a restore whose changes are tracked: NAME, which the guest uses,
 * has the target cbw and is as `dmlive attach` leaves a device; its inner device is
 * restored, see attach/inner.h: that has the target alloctrack and becomes linear in
 * the end. A restore without tracking has NAME alone.
 */

#include <stdbool.h>

#include "attach/inner.h"
#include "block/dm.h"
#include "restore/runtime.h"

/*
 * The inner device that NAME has, or would have: an exit status, after a message. It
 * may be there although NAME is not.
 */
int stack_plan(const char *name, struct inner *inner);

/*
 * The device that is restored when the user names @name: its inner device if it has
 * one, even if only that exists and @name does not (any more), else @name itself.
 * Returns @name or @inner.
 */
const char *stack_restored(const char *name, char inner[DM_NAME_BYTES]);

/*
 * The cbw device over the inner device @inner, whatever its current name. False:
 * there is none.
 */
bool stack_find_upper(const char *inner, char name[DM_NAME_BYTES]);

/* Is this the record of the device that has this UUID now? */
bool stack_is_record_of(const struct restore_options *options,
			const char *uuid);

#endif /* DMLIVE_RESTORE_STACK_H */
