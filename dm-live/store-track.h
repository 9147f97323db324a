/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_STORE_TRACK_H
#define DM_LIVE_STORE_TRACK_H

/*
 * The part of the bitmap store (store.h) that change tracking uses: any number of
 * bitmaps that are found by their flags, one of which must be durable before I/O
 * goes on.
 *
 * Context: all functions may sleep. Those that write require an active store.
 */

#include "qcow2/directory.h"
#include "qcow2/seal.h"
#include "store.h"

/** dm_live_store_nr_bitmaps - in the directory */
u32 dm_live_store_nr_bitmaps(const struct dm_live_store *store);

/** dm_live_store_entry - a bitmap of the directory; valid until the next reload */
const struct qcow2_store_bitmap *
dm_live_store_entry(const struct dm_live_store *store, u32 index);

/** dm_live_store_lookup - the same by its name, or NULL */
const struct qcow2_store_bitmap *
dm_live_store_lookup(struct dm_live_store *store, const char *name);

/** dm_live_store_was_tracking - did the state say TRACKING when it was read? */
bool dm_live_store_was_tracking(const struct dm_live_store *store);

/**
 * dm_live_store_set_tracking - should an active store's state say TRACKING?
 * Before dm_live_store_activate().
 */
void dm_live_store_set_tracking(struct dm_live_store *store, bool tracking);

/**
 * dm_live_store_load - read the bits of a bitmap that is not attached
 * @bitmap: its bits are replaced
 * Return: 0, -ENOENT: there is no such bitmap, or a read error, which is logged.
 */
int dm_live_store_load(struct dm_live_store *store, const char *name,
		       struct dm_live_bitmap *bitmap);

/** dm_live_store_detach - of an attached bitmap, before dm_live_store_activate() */
void dm_live_store_detach(struct dm_live_store *store, const char *name);

/**
 * dm_live_store_write - make the changes of one attached bitmap durable
 *
 * Only for stores without a data device. Not at the same time as deactivation.
 * Return: 0, or an error: then the store has failed.
 */
int dm_live_store_write(struct dm_live_store *store,
			struct dm_live_bitmap *bitmap);

/**
 * dm_live_store_enable - enable a bitmap and attach it, or disable and detach it
 * @bitmap: its bits in memory; changes of them are made durable first
 */
int dm_live_store_enable(struct dm_live_store *store, const char *name,
			 struct dm_live_bitmap *bitmap, bool enable);

/** dm_live_store_write_detached - make the changes of a disabled one durable */
int dm_live_store_write_detached(struct dm_live_store *store, const char *name,
				 struct dm_live_bitmap *bitmap);

/** dm_live_store_has_generations - is there a place for them? */
bool dm_live_store_has_generations(const struct dm_live_store *store);

/** dm_live_store_generation - of a bitmap; 0: it belongs to no backup */
u64 dm_live_store_generation(const struct dm_live_store *store,
			     const char *name);

/**
 * dm_live_store_set_generation - change it, durably; 0: it belongs to no backup
 * Return: 0, -EOPNOTSUPP without a place for generations, -ENOSPC when that is full,
 * or the error with which the store has failed.
 */
int dm_live_store_set_generation(struct dm_live_store *store, const char *name,
				 u64 generation);

/**
 * dm_live_store_seal - the seal as it was read or set last
 * Valid until the next reload. Return: NULL: the store has no place for it.
 */
const struct qcow2_seal *dm_live_store_seal(const struct dm_live_store *store);

/**
 * dm_live_store_set_seal - the seal is this one from now on
 *
 * Becomes durable with the next dm_live_store_activate(), after the bitmaps are in use;
 * or with dm_live_store_deactivate(), before they stop being in use. So whatever a
 * crash leaves, either the bitmaps are in use, or the seal is the one that counts. If
 * the last commit fails, the seal is not written.
 */
void dm_live_store_set_seal(struct dm_live_store *store,
			    const struct qcow2_seal *seal);

#endif /* DM_LIVE_STORE_TRACK_H */
