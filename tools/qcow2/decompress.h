/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_DECOMPRESS_H
#define DMLIVE_DECOMPRESS_H

/*
 * Decompression of clusters. A pool keeps the decompressors, with their input
 * buffers, that threads borrow for one cluster: it grows to as many as are in
 * use at once, and no further.
 */

#include <stddef.h>

#include "qcow2-format.h"

struct decompressor_pool;
struct decompressor;

/* A pool for clusters of @cluster_bytes. NULL when memory is short. */
struct decompressor_pool *
decompressor_pool_create(enum qcow2_compression_type type, size_t cluster_bytes);
void decompressor_pool_destroy(struct decompressor_pool *pool);

/* Borrow a decompressor; NULL when memory is short. */
struct decompressor *decompressor_get(struct decompressor_pool *pool);
void decompressor_put(struct decompressor_pool *pool,
		      struct decompressor *decompressor);

/*
 * Where the compressed bytes are to be put: room for the most that an L2 entry
 * can describe, two clusters.
 */
void *decompressor_input(struct decompressor *decompressor);

/*
 * Decompress the first @input_bytes of the input into @cluster, which must
 * become full; bytes left over in the input are ignored. 0 or -EINVAL.
 */
int decompressor_run(struct decompressor *decompressor, size_t input_bytes,
		     void *cluster);

#endif /* DMLIVE_DECOMPRESS_H */
