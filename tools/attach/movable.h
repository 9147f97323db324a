/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_MOVABLE_H
#define DMLIVE_ATTACH_MOVABLE_H

/*
 * Which tables can be moved between a volume in use and its inner device, and how. For a
 * moment the same table exists twice. What that means depends on when its targets read
 * and write what they keep on devices: Documentation/architecture.rst, "Moving a table".
 */

#include <stdbool.h>

#include "attach/volume.h"

enum movable {
	/* Both may be live: the target has no state, or both share it. */
	MOVABLE_SHARED,
	/* The target reads its state when it is resumed: the other must be suspended. */
	MOVABLE_LOADED_EARLY,
	/* It reads its state when it is loaded. */
	MOVABLE_LOADED_LATE,
};

/*
 * How the table of @volume moves to an inner device. An exit status, after a message if
 * it cannot be moved, or not now.
 */
int movable_check(const struct volume *volume, enum movable *how);

/* The same for a table that is already on an inner device. */
enum movable movable_how(const struct dm_table *table);

/* May an inner device with this table be left when its volume has got another table? */
bool movable_may_be_left(const struct dm_table *table);

/*
 * Keep the keys that @table may have out of swap space. Core dumps and debuggers are kept
 * away from the process as soon as it reads a table: dm_get_table().
 */
void movable_hide_keys(const struct dm_table *table);

/* @table could not be loaded on @name: say what may be done, if it is about its key. */
void movable_explain(const struct dm_table *table, const char *name);

#endif /* DMLIVE_ATTACH_MOVABLE_H */
