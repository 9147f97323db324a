/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_INNER_H
#define DMLIVE_ATTACH_INNER_H

/*
 * The inner device of a live insertion: it has the table that the volume had, and
 * is the origin of the cbw table that the volume has now. It is NAME-dmlive.
 *
 * Its UUID is of a form that lvm2 and util-linux reserve for inner layers: "LVM-",
 * and something behind another dash. So neither looks in it for physical volumes or
 * file systems, which are those of the volume. For a logical volume it is the
 * volume's UUID and "-dmlive": lvm2 takes it for a part of the volume and removes it
 * with the volume, or when it gives the volume another table.
 *
 * An inner device whose targets have a state must not stay live when another program has
 * given the volume a table of its own: the kernel removes it when cbw closes it.
 *
 * Functions that return an int return an exit status, after a message.
 */

#include <stdbool.h>

#include "attach/movable.h"
#include "attach/volume.h"

#define INNER_UUID_BYTES 129

/* Behind the name of the volume. */
#define INNER_SUFFIX "-dmlive"

struct inner {
	char name[DM_NAME_BYTES];
	char uuid[INNER_UUID_BYTES];
	struct dm_device dm;
	bool exists;
};

/* The present or future inner device of @volume, even if that lost its cbw table. */
int inner_find(const struct volume *volume, struct inner *inner);

/*
 * The inner device that the cbw table @cbw has as its origin. False: the origin is
 * not one.
 */
bool inner_of_table(const struct cbw_table *cbw, struct inner *inner);

/* The UUID that the inner device of @name has, which is not a logical volume. */
void inner_make_uuid(const char *name, char uuid[INNER_UUID_BYTES]);

/* Is it the UUID of an inner device? */
bool inner_is_uuid(const char *uuid);

/* Is it the inner device of another volume? */
bool inner_is(const struct volume *volume);

/*
 * Make it, with the table of @volume. If that must not be live twice, a placeholder is
 * live, and the table is loaded at most.
 */
int inner_make(const struct volume *volume, enum movable how,
	       struct inner *inner);

/*
 * Remove what a killed attach or detach has left of @volume, which has no cbw table:
 * an inner device, and a loaded table over it. @found: whether there was something.
 * Refused when it is somebody else's.
 */
int inner_clean(struct volume *volume, struct inner *inner, bool *found);

#endif /* DMLIVE_ATTACH_INNER_H */
