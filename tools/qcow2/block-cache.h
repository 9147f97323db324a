/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BLOCK_CACHE_H
#define DMLIVE_BLOCK_CACHE_H

/*
 * A bounded cache of blocks of one size, each with a 64-bit key: pieces of L2
 * tables, and decompressed clusters. Any number of threads may use it at once;
 * a block that several of them miss at the same time is filled once.
 *
 * A thread holds at most one block of a cache at a time: so a thread that waits
 * for a place waits for threads that will give theirs back.
 */

#include <stddef.h>
#include <stdint.h>

#include "image.h"

struct block_cache;
struct cached_block;

/* Fill @data, of the cache's block size; 0 or a negative errno and *err. */
typedef int (*block_cache_fill)(void *context, uint64_t key, void *data,
				struct image_error *err);

/*
 * A cache of @max_bytes, rounded up to a few blocks. Memory is taken when it is
 * first needed. NULL when there is none.
 */
struct block_cache *block_cache_create(size_t block_bytes, uint64_t max_bytes);
void block_cache_destroy(struct block_cache *cache);

/* Get a block; it stays as it is until block_cache_put(). */
int block_cache_get(struct block_cache *cache, uint64_t key,
		    block_cache_fill fill, void *context,
		    struct cached_block **block, struct image_error *err);
void block_cache_put(struct cached_block *block);

const void *cached_block_data(const struct cached_block *block);

#endif /* DMLIVE_BLOCK_CACHE_H */
