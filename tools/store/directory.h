/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_DIRECTORY_H
#define DMLIVE_META_DIRECTORY_H

/*
 * Adding, removing and marking bitmaps of an image: changes of its bitmap directory.
 * An interrupted change has no effect, and leaks clusters at worst. After a change,
 * the image must be opened again before the next.
 *
 * Functions return 0 or a negative errno, with a message printed.
 */

#include "store/layout.h"
#include "store/writer.h"

/*
 * Add an empty bitmap, all of whose clusters are allocated; on a device the place of
 * a spare one is used if one fits. -EEXIST: the name exists; -ENOSPC.
 */
int meta_add_bitmap(struct meta_writer *writer,
		    const struct meta_bitmap *bitmap);

int meta_remove_bitmap(struct meta_writer *writer,
		       const struct meta_store_bitmap *bitmap);

/* Replace QCOW2_BITMAP_* of a bitmap, durably. */
int meta_set_flags(struct meta_writer *writer,
		   struct meta_store_bitmap *bitmap, uint32_t flags);

#endif /* DMLIVE_META_DIRECTORY_H */
