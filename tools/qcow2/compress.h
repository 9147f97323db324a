/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_COMPRESS_H
#define DMLIVE_COMPRESS_H

/*
 * Compression of clusters. A pool keeps the compressors that threads borrow: it
 * grows to as many as are in use at once, and no further.
 */

#include <stddef.h>

#include "writer.h"

struct compressor_pool;
struct compressor;

/* The range of levels of a method that compresses. */
int compression_max_level(enum writer_compression method);

/* @level: 0 for the method's default. NULL when memory is short. */
struct compressor_pool *compressor_pool_create(enum writer_compression method,
					       int level, size_t cluster_bytes);
void compressor_pool_destroy(struct compressor_pool *pool);

/* Borrow a compressor; NULL when memory is short. */
struct compressor *compressor_get(struct compressor_pool *pool);
void compressor_put(struct compressor_pool *pool,
		    struct compressor *compressor);

/*
 * Compress a cluster into at most @room bytes at @out. Returns their number; 0:
 * it does not become that small.
 */
size_t compressor_run(struct compressor *compressor, const void *cluster,
		      void *out, size_t room);

#endif /* DMLIVE_COMPRESS_H */
