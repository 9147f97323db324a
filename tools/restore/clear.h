/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_CLEAR_H
#define DMLIVE_RESTORE_CLEAR_H

/*
 * Clearing the volume before a restore: what it held is discarded, if it is a device
 * that reads zeros then for certain (block/clearable.h). So zeros of the image need not
 * be written, and a thin volume takes space of its pool only for data.
 *
 * Once a block is allocated, nothing is ever discarded. In this order:
 *
 *   1. the metadata say that the volume is to be cleared ("cleared":0)
 *   2. it is cleared, and flushed
 *   3. the metadata say that it has been ("cleared":1), durably
 *   4. the mapped device is made, with target_is_zero; then blocks become allocated
 *
 * A crash before 4 leaves a store without an allocated block that no target has ever
 * used. Only then resume clears the volume again. After 4, target_is_zero holds as the
 * kernel understands it: the volume reads as zeros where nothing was written.
 */

#include "restore/metadata.h"
#include "restore/server.h"

/* Is the volume of this new restore to be cleared? Before the metadata are written. */
void clear_plan(struct server *server);

/*
 * Clear the volume, if it is to be, unless @is_cancelled. Sets the feature target_is_zero
 * where that holds. An exit status, after a message; that the volume is not certain to
 * read as zeros is no error.
 */
int clear_volume(struct server *server, bool (*is_cancelled)(void));

/* Resume: decide on target_is_zero by what is recorded, and clear what was not yet. */
int clear_resumed(struct server *server, const struct metadata *metadata,
		  bool (*is_cancelled)(void));

#endif /* DMLIVE_RESTORE_CLEAR_H */
