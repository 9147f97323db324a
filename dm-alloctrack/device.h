/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_DEVICE_H
#define DM_ALLOCTRACK_DEVICE_H

/* The registry of devices, which outlive a table. */

#include <linux/types.h>

struct at_device;
struct at_geometry;
struct at_table;

/**
 * at_device_get - get the device for a new table
 * @table: the new table, with its backing parsed
 * @geometry: from the table line
 *
 * Finds the device of the active table, or makes a new one. A table whose geometry
 * differs from that of the active one is refused, since the allocation would be
 * lost. Sets ti->error.
 *
 * Context: may sleep. Return: the device, or an ERR_PTR.
 */
struct at_device *at_device_get(struct at_table *table,
				const struct at_geometry *geometry);

/** at_device_put_table - @table no longer uses @device */
void at_device_put_table(struct at_device *device, struct at_table *table);

/**
 * at_device_activate - the table takes over its device (preresume)
 * Return: 0, -EBUSY when another device with this number is in use, or -ESTALE
 * when a table of another target was active in between. Logs why.
 */
int at_device_activate(struct at_table *table);

/** at_device_abandon - undo at_device_activate(): the resume failed */
void at_device_abandon(struct at_table *table);

/** at_device_find - get a reference to the device with this number, or NULL */
struct at_device *at_device_find(dev_t devt);

/** at_device_put - drop a reference from at_device_find() */
void at_device_put(struct at_device *device);

/** at_device_has_user_table - does an active or loaded table use a server? */
bool at_device_has_user_table(struct at_device *device);

/** at_device_set_active - allow fills through @table; NULL: wait for them to end */
void at_device_set_active(struct at_device *device, struct at_table *table);

#endif /* DM_ALLOCTRACK_DEVICE_H */
