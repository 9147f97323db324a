/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_RESIZE_H
#define DMLIVE_META_RESIZE_H

#include <stdint.h>

/*
 * Make a store for the tracking of changes one for a volume of @bytes. The bits are kept;
 * what is new counts as changed, in all bitmaps but those of dmlive's own. An interrupted
 * call leaves the old store or the new one.
 *
 * 0 or a negative errno, after a message. -EBUSY: in use; -EINVAL: not such a store, or not
 * such a size; -ENOSPC: the metadata device is too small.
 */
int meta_resize(const char *path, uint64_t bytes);

#endif /* DMLIVE_META_RESIZE_H */
