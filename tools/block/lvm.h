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
#include "block/dm.h"

/* For the name of a group or volume; LVM's own limit. */
#define LVM_NAME_BYTES 128

/* Characters of both together, at most; with hyphens counted twice. */
#define LVM_NAMES_MAX 124
#define LVM_NAMES_DOUBLED_MAX 126

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

/* May the name of a group or volume look like that? */
bool lvm_name_is_valid(const char *name);

/*
 * The name of its mapped device, in which hyphens are doubled. False: lvm2 or device
 * mapper have no room for it.
 */
bool lvm_dm_name(const struct lvm_volume *volume, char name[DM_NAME_BYTES]);

/*
 * The volume whose name is that of @device, which must be one, and @suffix. What is too
 * long is cut, and gets a digest of all of the name. False: @device is none, or the name
 * of the group leaves no room.
 */
bool lvm_beside(const struct blockdev *device, const char *suffix,
		struct lvm_volume *volume);

/*
 * Say why lvm_beside() was false: for the option @option, instead of which a device of
 * @bytes can be given as the value of @given.
 */
void lvm_refuse_beside(const char *option, const char *given,
		       const struct blockdev *device, uint64_t bytes);

/* Its node, /dev/GROUP/NAME. Returns @path. */
const char *lvm_path(const struct lvm_volume *volume, char *path,
		     size_t path_bytes);

/*
 * A volume to make: of at least @bytes, rounded up to whole extents. It gets the tags
 * LVM_TAG, and those that say that it is @role for @of.
 *
 * @of: the name of a volume, or of a mapped device
 * @tag: one more, or NULL
 * @type: of its segments, as for lvcreate; NULL: linear
 * @pool: the thin pool that it is in, or NULL
 */
struct lvm_plan {
	struct lvm_volume volume;
	uint64_t bytes;
	const char *of;
	const char *role;
	const char *tag;
	const char *type;
	const char *pool;
};

/* What dmlive has made has this tag. */
#define LVM_TAG		"dmlive"
#define LVM_TAG_OF	"dmlive.of="
#define LVM_TAG_ROLE	"dmlive.role="

/* Its bytes, with the terminating zero. Longer ones are cut. */
#define LVM_TAG_BYTES	512

/*
 * Make it, and activate it. What was at its place is wiped as lvcreate does that. On
 * failure @reason gets what lvm2 says. Signals to the terminal do not end lvm2.
 */
int lvm_create(const struct lvm_plan *plan, char *reason, size_t reason_bytes);

/* Remove it. @reason as above. */
int lvm_remove(const struct lvm_volume *volume, char *reason,
	       size_t reason_bytes);

/*
 * The same if it has @tag, which is checked under the group's lock: else nothing is done,
 * and that is no failure.
 */
int lvm_remove_tagged(const struct lvm_volume *volume, const char *tag,
		      char *reason, size_t reason_bytes);

int lvm_remove_tag(const struct lvm_volume *volume, const char *tag,
		   char *reason, size_t reason_bytes);

/* Is there such a volume, active or not? @tags: its tags, with commas between. */
bool lvm_exists(const struct lvm_volume *volume, char *tags, size_t tags_bytes);

/* Is @tag among @tags? */
bool lvm_has_tag(const char *tags, const char *tag);

/*
 * Call @each for each volume of @group, with its tags. An error if there is no such
 * group; @reason as above.
 */
int lvm_for_each(const char *group,
		 void (*each)(const struct lvm_volume *volume,
			      const char *tags, void *context),
		 void *context, char *reason, size_t reason_bytes);

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
