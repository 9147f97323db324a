/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_DM_TASK_H
#define DMLIVE_DM_TASK_H

/*
 * Tasks of libdevmapper: for dm.c, dm-pin.c, dm-table.c and dm-task.c alone, which hide
 * it. Functions return 0 or a negative errno.
 */

#include <libdevmapper.h>
#include "block/dm.h"

/* For the device @name, if it is not NULL. NULL after a message. */
struct dm_task *task_new(int type, const char *name);

/* @name: the current name, which pins do not apply to, or not the name of a device. */
struct dm_task *task_new_by_name(int type, const char *name);

int task_run(struct dm_task *task);

/* "NAME: cannot WHAT", if @r is an error. */
void task_say_failed(int r, const char *name, const char *what);

/* For a task that was run. @device may be NULL. -ENXIO: there is no device. */
int task_get_info(struct dm_task *task, struct dm_device *device);

/* Run a query of a device, however it is given; free the task. */
bool task_take_name(struct dm_task *task, char name[DM_NAME_BYTES]);

/* dm-pin.c: is @name pinned? Then it means that device from here on. */
bool pin_find(const char *name);
int pin_add(const char *name, const struct dm_device *device);
void pin_drop(const char *name);

/* Set the device that @name means, pinned or not. */
bool pin_set_device(struct dm_task *task, const char *name);

#endif /* DMLIVE_DM_TASK_H */
