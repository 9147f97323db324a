/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_SWAP_H
#define DMLIVE_ATTACH_SWAP_H

#include "attach/volume.h"
#include "base/guard.h"

/*
 * Give @volume another table, with I/O going on. When that fails, or a signal ends
 * the wait for I/O that hangs, it has its old table again; refused when the table of
 * @volume has changed since it was read.
 *
 * Return: an exit status, after a message.
 */
int swap_table(struct volume *volume, const struct dm_table *table);

/*
 * Called while the volume is suspended and its new table is loaded. It needs nothing that
 * could lie on the volume, and writes nothing when @guard has acted, which lets the volume
 * go after some seconds. 0, or other than 0 after a message.
 */
typedef int (*swap_settle_fn)(const struct guard *guard, void *context);

/* The same, and @settle is called between. When it fails, nothing has changed. */
int swap_table_settled(struct volume *volume, const struct dm_table *table,
		       swap_settle_fn settle, void *context);

#endif /* DMLIVE_ATTACH_SWAP_H */
