/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_SHOW_H
#define DMLIVE_META_SHOW_H

/*
 * Printing the bitmaps of a store, for people and as JSON. Functions that read the
 * bits return 0 or a negative errno, with a message printed.
 */

#include "base/json.h"
#include "store/inspect.h"

/* Print to standard output, with ? for what a terminal would interpret. */
void meta_print_name(const char *name, size_t bytes);

/* One line for each bitmap. */
int meta_show_bitmaps(struct meta_store *store);

/* An object for each bitmap, appended to @list. */
int meta_show_bitmaps_json(struct meta_store *store, struct json_object *list);

/* The ranges of the device that the bitmap has set. */
int meta_show_bits(struct meta_store *store,
		   const struct meta_store_bitmap *bitmap, bool json);

#endif /* DMLIVE_META_SHOW_H */
