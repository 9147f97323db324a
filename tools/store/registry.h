/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_REGISTRY_H
#define DMLIVE_META_REGISTRY_H

/*
 * Which store has recorded the changes of which volume, as far as this machine knows:
 * in /var/lib/dmlive/stores, a file for each store. What dmlive itself writes to a
 * volume that is not attached makes these stores worthless; they have to record that,
 * whatever happens until they are attached again.
 */

#include "block/blockdev.h"
#include "store/inspect.h"

#define REGISTRY_FOLDER "/var/lib/dmlive/stores"

/*
 * The store is bound to the volume with this identity. If the record cannot be
 * written, nothing is known later.
 */
void registry_note(const struct meta_store *store, const char *identity);

/*
 * @volume is about to be overwritten: in all stores that are bound to it, all blocks
 * count as changed from now on. Warns about stores in which this cannot be recorded.
 * @except: path of a metadata device that is left alone, or NULL.
 */
void registry_void(const struct blockdev *volume, const char *except);

/*
 * Remove the records of stores on logical volumes that were removed. May run a
 * command of lvm2, so not where that may wait for us.
 */
void registry_clean(void);

/* Both, by a path that need not be that of a block device. */
void registry_void_path(const char *path);

#endif /* DMLIVE_META_REGISTRY_H */
