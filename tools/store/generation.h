/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_GENERATION_H
#define DMLIVE_META_GENERATION_H

/* Which backup each bitmap belongs to, see ../dm-live/qcow2/generations.h. */

#include "store/writer.h"

/* The generation of a bitmap; 0: it belongs to no backup. */
uint64_t meta_generation(const struct meta_store *store,
			 const struct meta_store_bitmap *bitmap);

/* The UUID of the store as text; "" if it has none. */
#define META_UUID_BYTES	37
const char *meta_uuid(const struct meta_store *store,
		      char text[META_UUID_BYTES]);

/*
 * From now on the bitmap belongs to the backup of that generation, durably. 0 or a
 * negative errno, with a message printed; -EINVAL: the store has no place for it.
 */
int meta_set_generation(struct meta_writer *writer,
			const struct meta_store_bitmap *bitmap,
			uint64_t generation);

/* A generation that no backup has. 0 or a negative errno, with a message printed. */
int meta_new_generation(uint64_t *generation);

/*
 * From now on the bitmap belongs to no backup, durably. Call this before anything
 * happens after which the bitmap does not record all changes. 0 or a negative errno,
 * with a message printed.
 */
int meta_drop_generation(struct meta_writer *writer,
			 const struct meta_store_bitmap *bitmap);

#endif /* DMLIVE_META_GENERATION_H */
