/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_LVM_H
#define DMLIVE_LVM_H

/*
 * Logical volumes, by the commands of lvm2. Functions that return an int return 0 or
 * a negative errno.
 */

#include <stdbool.h>
#include <stdint.h>

#include "block/blockdev.h"

/* For the name of a group or volume; LVM's own limit. */
#define LVM_NAME_BYTES 128

struct lvm_volume {
	char group[LVM_NAME_BYTES];
	char name[LVM_NAME_BYTES];
};

/* Which logical volume is @device? False: none. Runs no command. */
bool lvm_find(const struct blockdev *device, struct lvm_volume *volume);

/*
 * The UUIDs of all logical volumes, each behind that of its group, as mapped devices have
 * them behind "LVM-"; a line each. To be freed. NULL: that cannot be known. Runs lvs,
 * without LVM's locks.
 */
char *lvm_list_uuids(void);

/*
 * For a volume given by its UUID behind that of its group: does that list have the group,
 * but the volume not any more? A volume that is not active, or was renamed, still counts
 * as there. False if LVM does not see the group, or the group has no volume, or @list is
 * NULL: then it is not known.
 */
bool lvm_is_removed(const char *list, const char *uuids);

/*
 * The volume whose name is that of @device, which must be one, and @suffix. False:
 * @device is none, or the name would be too long.
 */
bool lvm_beside(const struct blockdev *device, const char *suffix,
		struct lvm_volume *volume);

/*
 * Say why lvm_beside() was false: for the option @option, instead of which a device of
 * @bytes can be given as the value of @given.
 */
void lvm_refuse_beside(const char *option, const char *given,
		       const struct blockdev *device, const char *suffix,
		       uint64_t bytes);

/* Its node, /dev/GROUP/NAME. Returns @path. */
const char *lvm_path(const struct lvm_volume *volume, char *path,
		     size_t path_bytes);

/*
 * Make a linear volume of at least @bytes, and activate it. On failure @reason gets
 * what lvm2 says.
 */
int lvm_create(const struct lvm_volume *volume, uint64_t bytes, char *reason,
	       size_t reason_bytes);

/* Remove it. @reason as above. */
int lvm_remove(const struct lvm_volume *volume, char *reason,
	       size_t reason_bytes);

/* Locks of volume groups. */
struct lvm_locks {
	int *fds;
	unsigned int nr;
};

/*
 * Lock the groups of those of @devices that are logical volumes, as lvm2 does it on one
 * machine, so that none of its commands works on them. To be held from before their
 * tables are checked for one that lvm2 has loaded, until they run with their new
 * tables. Waits for some seconds. Not while one of them is suspended. @must: failing to
 * get a lock is an error, else only a warning.
 *
 * Return: 0; -EBUSY, or another negative errno when a lock cannot be taken, both
 * after a message. To be unlocked also after a failure.
 */
int lvm_lock(const dev_t *devices, unsigned int nr, bool must,
	     struct lvm_locks *locks);
void lvm_unlock(struct lvm_locks *locks);

/* How long lvm_lock() of this process waits from now on. */
void lvm_wait_at_most(unsigned int ms);

#endif /* DMLIVE_LVM_H */
