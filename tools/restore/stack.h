/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_STACK_H
#define DMLIVE_RESTORE_STACK_H

/*
 * A restore that tracks changes has two devices. NAME, which the guest uses, has the
 * target cbw, and is like a device that `dmlive attach` has made. Its inner device, see
 * attach/inner.h, is restored: it has the target alloctrack and becomes linear in the
 * end. Without tracking there is NAME alone.
 */

#include <stdbool.h>

#include "attach/inner.h"
#include "block/dm.h"
#include "restore/runtime.h"

/*
 * Find the inner device that NAME has or would have. Returns an exit status, after a
 * message. It may exist although NAME does not.
 */
int stack_plan(const char *name, struct inner *inner);

/*
 * The device that is restored when the user names @name: its inner device if there is
 * one, even if @name itself does not exist, else @name. Returns @name or @inner.
 */
const char *stack_restored(const char *name, char inner[DM_NAME_BYTES]);

/* The cbw device over the inner device @inner. False: there is none. */
bool stack_find_upper(const char *inner, char name[DM_NAME_BYTES]);

/* Is this the record of the device with this UUID? */
bool stack_is_record_of(const struct restore_options *options,
			const char *uuid);

#endif /* DMLIVE_RESTORE_STACK_H */
