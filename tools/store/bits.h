/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_BITS_H
#define DMLIVE_META_BITS_H

/*
 * Clearing and setting the bits of a bitmap. Both work in place, so an interrupted
 * call has done a part. Functions return 0 or a negative errno, with a message
 * printed.
 */

#include "store/writer.h"

int meta_clear_bits(struct meta_writer *writer,
		    struct meta_store_bitmap *bitmap);

/*
 * Set each bit of @into whose part of the device shares a byte with what @from has
 * set. The granularities may differ, the sizes may not (-EINVAL). @source: the store
 * that @from belongs to, which may be writer->store.
 *
 * @added_bytes: what is set now, and was not before
 */
int meta_merge_bits(struct meta_writer *writer, struct meta_store_bitmap *into,
		    struct meta_store *source,
		    const struct meta_store_bitmap *from,
		    uint64_t *added_bytes);

#endif /* DMLIVE_META_BITS_H */
