/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_SWAP_H
#define DMLIVE_ATTACH_SWAP_H

#include "attach/volume.h"

/*
 * Give @volume another table, with I/O going on. When that fails, or a signal ends
 * the wait for I/O that hangs, it has its old table again; refused when the table of
 * @volume has changed since it was read.
 *
 * Return: an exit status, after a message.
 */
int swap_table(struct volume *volume, const struct dm_table *table);

/*
 * The same, with a step in between: while @volume is suspended and the new table is
 * loaded, @settle is called, which must not need anything that could lie on it. When
 * it returns other than 0, after a message, nothing has changed.
 */
int swap_table_settled(struct volume *volume, const struct dm_table *table,
		       int (*settle)(void *context), void *context);

#endif /* DMLIVE_ATTACH_SWAP_H */
