/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_DEVICE_H
#define DM_ALLOCTRACK_DEVICE_H

/* The registry of devices, and what of them outlives a table. */

#include <linux/types.h>

struct at_device;
struct at_geometry;
struct at_table;

/**
 * at_device_get - the device that a new table shall use
 * @table: the new table; its backing is known
 * @geometry: what its table line says
 *
 * Finds the device of the active table, or makes a new one. A table that does
 * not agree with the active one on the geometry is refused: what is allocated
 * would be forgotten. Sets ti->error.
 *
 * Context: may sleep. Return: the device, or an ERR_PTR.
 */
struct at_device *at_device_get(struct at_table *table,
				const struct at_geometry *geometry);

/** at_device_put_table - @table no longer uses @device */
void at_device_put_table(struct at_device *device, struct at_table *table);

/**
 * at_device_activate - the table becomes the active one (preresume)
 * Return: 0, -EBUSY when another device of that number has taken over, or
 * -ESTALE when a table of another target was active in between. Logs why.
 */
int at_device_activate(struct at_table *table);

/** at_device_abandon - the resume failed after at_device_activate() */
void at_device_abandon(struct at_table *table);

/** at_device_find - a reference to the device of this number, or NULL */
struct at_device *at_device_find(dev_t devt);

/** at_device_put - drop a reference from at_device_find() */
void at_device_put(struct at_device *device);

/** at_device_has_user_table - does an active or loaded table want a server? */
bool at_device_has_user_table(struct at_device *device);

/** at_device_set_active - let fills in through @table; NULL: wait them out */
void at_device_set_active(struct at_device *device, struct at_table *table);

#endif /* DM_ALLOCTRACK_DEVICE_H */
