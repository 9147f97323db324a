/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_TRACK_H
#define DMLIVE_META_TRACK_H

/* What a store has in which the target cbw records changes. */

#include "store/layout.h"
#include "qcow2-format.h"

#define META_TRACK_GRANULARITY	65536
#define META_TRACK_SPARES	2
#define META_TRACK_MAX_SPARES	16

typedef char meta_spare_name[32];

/*
 * Append to @bitmaps those beside the user's: the intent bitmap and @nr_spares spare
 * ones, whose names are put into @names. Returns how many.
 */
size_t meta_track_bitmaps(struct meta_bitmap *bitmaps, meta_spare_name *names,
			  unsigned int nr_spares, uint64_t granularity);

/* A UUID for the store. 0 or a negative errno, with a message printed. */
int meta_make_uuid(uint8_t uuid[QCOW2_DMLIVE_UUID_BYTES]);

/*
 * Can a bitmap of that name be given in table lines and messages, and is it not one
 * of dmlive's own? False after a message that names the option.
 */
bool meta_check_name(const char *option, const char *name);

#endif /* DMLIVE_META_TRACK_H */
