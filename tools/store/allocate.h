/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_ALLOCATE_H
#define DMLIVE_META_ALLOCATE_H

/* Allocating and freeing clusters of an image, by their refcounts. */

#include "store/writer.h"

struct meta_allocator;

/*
 * Find @nr contiguous free clusters, and give each a refcount of one. Their content
 * is whatever was there. Not synced, except for new refcount blocks; nothing may
 * point to the clusters before that. Files grow, devices do not: -ENOSPC.
 */
int meta_allocate(struct meta_writer *writer, uint64_t nr, uint64_t *offset);

/*
 * Decrement the refcount of each of @nr clusters; nothing durable may point to them
 * any more. Not synced.
 */
int meta_free(struct meta_writer *writer, uint64_t offset, uint64_t nr);

/* NULL is ignored. */
void meta_allocator_free(struct meta_allocator *allocator);

#endif /* DMLIVE_META_ALLOCATE_H */
