/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_SUPPLY_H
#define DM_ALLOCTRACK_SUPPLY_H

/*
 * What a server supplies: the ioctls FILL, ZERO and FAIL, described in
 * include/uapi/linux/dm-alloctrack.h.
 *
 * @file is the open control device. If it has O_NONBLOCK set and the device is
 * suspended, they return -EAGAIN. used_bytes is always set, also on errors.
 *
 * Context: process context of the server; may sleep. Return: 0 or a negative errno.
 */

struct at_device;
struct dm_alloctrack_fail;
struct dm_alloctrack_fill;
struct dm_alloctrack_zero;
struct file;

int at_supply_fill(struct at_device *device, const struct file *file,
		   struct dm_alloctrack_fill *fill);
int at_supply_zero(struct at_device *device, const struct file *file,
		   struct dm_alloctrack_zero *zero);
int at_supply_fail(struct at_device *device, const struct file *file,
		   struct dm_alloctrack_fail *fail);

#endif /* DM_ALLOCTRACK_SUPPLY_H */
