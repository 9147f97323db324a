// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compression of clusters: raw deflate by zlib, Zstandard by libzstd.
 *
 * Readers of the format unpack deflate with a window of 4 KiB, so matches must
 * not reach back further. zlib can be told so; libdeflate, which unpacks for us,
 * cannot.
 */
#include <pthread.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "compress.h"

#define DEFLATE_WINDOW_BITS (-12)	/* negative: no zlib header */
#define DEFLATE_MEMORY_LEVEL 9

struct compressor {
	struct compressor *next;
	size_t cluster_bytes;
	bool has_deflate;
	z_stream deflate;
	ZSTD_CCtx *zstd;
};

struct compressor_pool {
	enum writer_compression method;
	int level;
	size_t cluster_bytes;
	pthread_mutex_t lock;	/* protects idle */
	struct compressor *idle;
};

int compression_max_level(enum writer_compression method)
{
	return method == WRITER_ZSTD ? ZSTD_maxCLevel() : Z_BEST_COMPRESSION;
}

struct compressor_pool *compressor_pool_create(enum writer_compression method,
					       int level, size_t cluster_bytes)
{
	struct compressor_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->method = method;
	pool->level = level;
	pool->cluster_bytes = cluster_bytes;
	pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

static void destroy(struct compressor *compressor)
{
	if (compressor->has_deflate)
		deflateEnd(&compressor->deflate);
	ZSTD_freeCCtx(compressor->zstd);
	free(compressor);
}

void compressor_pool_destroy(struct compressor_pool *pool)
{
	struct compressor *compressor;

	if (!pool)
		return;
	while ((compressor = pool->idle)) {
		pool->idle = compressor->next;
		destroy(compressor);
	}
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static bool set_up_zstd(struct compressor *compressor, int level)
{
	compressor->zstd = ZSTD_createCCtx();
	return compressor->zstd &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(compressor->zstd,
						    ZSTD_c_compressionLevel,
						    level ?: ZSTD_CLEVEL_DEFAULT));
}

static bool set_up_deflate(struct compressor *compressor, int level)
{
	compressor->has_deflate =
		deflateInit2(&compressor->deflate,
			     level ?: Z_DEFAULT_COMPRESSION, Z_DEFLATED,
			     DEFLATE_WINDOW_BITS, DEFLATE_MEMORY_LEVEL,
			     Z_DEFAULT_STRATEGY) == Z_OK;
	return compressor->has_deflate;
}

static struct compressor *create(const struct compressor_pool *pool)
{
	struct compressor *compressor = calloc(1, sizeof(*compressor));

	if (!compressor)
		return NULL;
	compressor->cluster_bytes = pool->cluster_bytes;
	if (pool->method == WRITER_ZSTD ?
	    set_up_zstd(compressor, pool->level) :
	    set_up_deflate(compressor, pool->level))
		return compressor;
	destroy(compressor);
	return NULL;
}

struct compressor *compressor_get(struct compressor_pool *pool)
{
	struct compressor *compressor;

	pthread_mutex_lock(&pool->lock);
	compressor = pool->idle;
	if (compressor)
		pool->idle = compressor->next;
	pthread_mutex_unlock(&pool->lock);
	return compressor ? compressor : create(pool);
}

void compressor_put(struct compressor_pool *pool, struct compressor *compressor)
{
	pthread_mutex_lock(&pool->lock);
	compressor->next = pool->idle;
	pool->idle = compressor;
	pthread_mutex_unlock(&pool->lock);
}

static size_t deflate_cluster(struct compressor *compressor,
			      const void *cluster, void *out, size_t room)
{
	z_stream *stream = &compressor->deflate;

	if (deflateReset(stream) != Z_OK)
		return 0;
	stream->next_in = (void *)cluster;
	stream->avail_in = compressor->cluster_bytes;
	stream->next_out = out;
	stream->avail_out = room;
	return deflate(stream, Z_FINISH) == Z_STREAM_END ? stream->total_out :
							   0;
}

size_t compressor_run(struct compressor *compressor, const void *cluster,
		      void *out, size_t room)
{
	size_t bytes;

	if (!compressor->zstd)
		return deflate_cluster(compressor, cluster, out, room);
	bytes = ZSTD_compress2(compressor->zstd, out, room, cluster,
			       compressor->cluster_bytes);
	return ZSTD_isError(bytes) ? 0 : bytes;
}
