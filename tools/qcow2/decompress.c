// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decompression of clusters: raw deflate by libdeflate, Zstandard by libzstd.
 *
 * Both are used in their one-shot form: the cluster itself is the window, so
 * that a hostile stream cannot ask for memory.
 */
#include <errno.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

#include "decompress.h"

struct decompressor {
	struct decompressor *next;
	struct libdeflate_decompressor *deflate;
	ZSTD_DCtx *zstd;
	size_t cluster_bytes;
	unsigned char input[];
};

struct decompressor_pool {
	enum qcow2_compression_type type;
	size_t cluster_bytes;
	pthread_mutex_t lock;	/* protects idle */
	struct decompressor *idle;
};

struct decompressor_pool *
decompressor_pool_create(enum qcow2_compression_type type, size_t cluster_bytes)
{
	struct decompressor_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->type = type;
	pool->cluster_bytes = cluster_bytes;
	pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

static void destroy(struct decompressor *decompressor)
{
	libdeflate_free_decompressor(decompressor->deflate);
	ZSTD_freeDCtx(decompressor->zstd);
	free(decompressor);
}

void decompressor_pool_destroy(struct decompressor_pool *pool)
{
	struct decompressor *decompressor;

	if (!pool)
		return;
	while ((decompressor = pool->idle)) {
		pool->idle = decompressor->next;
		destroy(decompressor);
	}
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static struct decompressor *create(const struct decompressor_pool *pool)
{
	struct decompressor *decompressor;

	decompressor = calloc(1, sizeof(*decompressor) + 2 * pool->cluster_bytes);
	if (!decompressor)
		return NULL;
	decompressor->cluster_bytes = pool->cluster_bytes;
	if (pool->type == QCOW2_COMPRESSION_ZSTD)
		decompressor->zstd = ZSTD_createDCtx();
	else
		decompressor->deflate = libdeflate_alloc_decompressor();
	if (decompressor->zstd || decompressor->deflate)
		return decompressor;
	destroy(decompressor);
	return NULL;
}

struct decompressor *decompressor_get(struct decompressor_pool *pool)
{
	struct decompressor *decompressor;

	pthread_mutex_lock(&pool->lock);
	decompressor = pool->idle;
	if (decompressor)
		pool->idle = decompressor->next;
	pthread_mutex_unlock(&pool->lock);
	return decompressor ? decompressor : create(pool);
}

void decompressor_put(struct decompressor_pool *pool,
		      struct decompressor *decompressor)
{
	pthread_mutex_lock(&pool->lock);
	decompressor->next = pool->idle;
	pool->idle = decompressor;
	pthread_mutex_unlock(&pool->lock);
}

void *decompressor_input(struct decompressor *decompressor)
{
	return decompressor->input;
}

static int inflate_cluster(struct decompressor *decompressor,
			   size_t input_bytes, void *cluster)
{
	/* No place for the actual size: fewer bytes are then an error. */
	if (libdeflate_deflate_decompress(decompressor->deflate,
					  decompressor->input, input_bytes,
					  cluster, decompressor->cluster_bytes,
					  NULL) != LIBDEFLATE_SUCCESS)
		return -EINVAL;
	return 0;
}

/* A cluster may be made of several frames, as far as QEMU is concerned. */
static int unzstd_cluster(struct decompressor *decompressor,
			  size_t input_bytes, unsigned char *cluster)
{
	const unsigned char *input = decompressor->input;
	size_t done = 0;

	while (done < decompressor->cluster_bytes) {
		size_t frame = ZSTD_findFrameCompressedSize(input, input_bytes);
		size_t got;

		if (ZSTD_isError(frame))
			return -EINVAL;
		got = ZSTD_decompressDCtx(decompressor->zstd, cluster + done,
					  decompressor->cluster_bytes - done,
					  input, frame);
		if (ZSTD_isError(got))
			return -EINVAL;
		done += got;
		input += frame;
		input_bytes -= frame;
	}
	return 0;
}

int decompressor_run(struct decompressor *decompressor, size_t input_bytes,
		     void *cluster)
{
	if (decompressor->zstd)
		return unzstd_cluster(decompressor, input_bytes, cluster);
	return inflate_cluster(decompressor, input_bytes, cluster);
}
