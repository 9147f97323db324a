/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_INNER_H
#define DMLIVE_ATTACH_INNER_H

/*
 * The inner device of a live insertion, NAME-dmlive. It has the table that the volume
 * had, and is the origin of the cbw table that the volume has now.
 *
 * lvm2 and util-linux reserve UUIDs with "LVM-" and something after another dash for
 * inner layers. They ignore the physical volumes and file systems in them, and here these
 * are the volume's. The inner device of a logical volume has the volume's UUID and
 * "-dmlive", so lvm2 takes it for a part of the volume and removes it with the volume.
 *
 * An inner device whose targets have a state must not stay live when another program has
 * given the volume a table of its own: the kernel removes it when cbw closes it.
 *
 * Functions that return an int return an exit status, after a message.
 */

#include <stdbool.h>

#include "attach/movable.h"
#include "attach/volume.h"
#include "block/dm-uuid.h"

/* Follows the name of the volume. */
#define INNER_SUFFIX "-dmlive"

struct inner {
	char name[DM_NAME_BYTES];
	char uuid[DM_UUID_BYTES];
	struct dm_device dm;
	bool exists;
};

/* Of @volume, which may have lost its cbw table. @inner need not exist yet. */
int inner_find(const struct volume *volume, struct inner *inner);

/* The inner device below the cbw table @cbw. False: its origin is not an inner device. */
bool inner_of_table(const struct cbw_table *cbw, struct inner *inner);

/* The UUID for the inner device of @name, if that is not a logical volume. */
void inner_make_uuid(const char *name, char uuid[DM_UUID_BYTES]);

/* Is @volume itself an inner device? */
bool inner_is(const struct volume *volume);

/*
 * Make it, with the table of @volume. If that must not be live twice, a placeholder is
 * live, and the table is loaded at most.
 */
int inner_make(const struct volume *volume, enum movable how,
	       struct inner *inner);

/*
 * Remove what a killed attach or detach has left on @volume, which has no cbw table: the
 * inner device, and an inactive table over it. @found: there was something. An inactive
 * table of somebody else is refused.
 */
int inner_clean(struct volume *volume, struct inner *inner, bool *found);

#endif /* DMLIVE_ATTACH_INNER_H */
