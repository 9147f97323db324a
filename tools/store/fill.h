/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_FILL_H
#define DMLIVE_META_FILL_H

/* Bitmaps whose clusters are all allocated, as a store requires. */

#include "store/writer.h"

/*
 * Allocate the clusters that a bitmap lacks; its bits stay as they are. All is
 * durable when it returns. Uses writer->cluster. 0 or a negative errno, with a
 * message printed.
 */
int meta_fill(struct meta_writer *writer, struct meta_store_bitmap *bitmap);

/* Write bitmap->table to its place. */
int meta_write_table(struct meta_writer *writer,
		     const struct meta_store_bitmap *bitmap);

#endif /* DMLIVE_META_FILL_H */
