/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_DM_TASK_H
#define DMLIVE_DM_TASK_H

/*
 * Tasks of libdevmapper: for dm.c, dm-pin.c and dm-table.c alone, which hide it. Functions
 * return 0 or a negative errno.
 */

#include <libdevmapper.h>
#include "block/dm.h"

/* For the device @name, if it is not NULL. NULL after a message. */
struct dm_task *task_new(int type, const char *name);

int task_run(struct dm_task *task);

/* "NAME: cannot WHAT", if @r is an error. */
void task_say_failed(int r, const char *name, const char *what);

/* For a task that was run. @device may be NULL. -ENXIO: there is no device. */
int task_get_info(struct dm_task *task, struct dm_device *device);

/* dm-pin.c: is @name pinned? Then it means that device from here on. */
bool pin_find(const char *name);
void pin_drop(const char *name);

/* Set the device that @name means, pinned or not. */
bool pin_set_device(struct dm_task *task, const char *name);

#endif /* DMLIVE_DM_TASK_H */
