// SPDX-License-Identifier: GPL-2.0-only
/* Reference counts: counted ones, and those in the file. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/refcounts.h"
#include "block-cache.h"
#include "error.h"
#include "refcounts.h"

#define PAGE_COUNTERS 1024
#define MAX_PAGES (1U << 18)		/* 1 GiB */
#define MAX_CLUSTERS (1ULL << 33)	/* 64 MiB of pointers to pages */
#define CACHE_BYTES (4U << 20)
#define SLICE_BYTES (16U << 10)

struct counters {
	uint64_t nr_pages;
	unsigned int used_pages;
	uint32_t **pages;
};

struct counters *counters_create(uint64_t nr_clusters)
{
	struct counters *counters;

	if (nr_clusters > MAX_CLUSTERS)
		return NULL;
	counters = calloc(1, sizeof(*counters));
	if (!counters)
		return NULL;
	counters->nr_pages = (nr_clusters + PAGE_COUNTERS - 1) / PAGE_COUNTERS;
	counters->pages = calloc(counters->nr_pages + 1,
				 sizeof(*counters->pages));
	if (counters->pages)
		return counters;
	free(counters);
	return NULL;
}

void counters_destroy(struct counters *counters)
{
	uint64_t i;

	if (!counters)
		return;
	for (i = 0; i < counters->nr_pages; i++)
		free(counters->pages[i]);
	free(counters->pages);
	free(counters);
}

int counters_add(struct counters *counters, uint64_t cluster, uint32_t times)
{
	uint32_t **page = &counters->pages[cluster / PAGE_COUNTERS];
	uint32_t *counter;

	if (!*page) {
		if (counters->used_pages == MAX_PAGES)
			return -ENOMEM;
		*page = calloc(PAGE_COUNTERS, sizeof(**page));
		if (!*page)
			return -ENOMEM;
		counters->used_pages++;
	}
	counter = &(*page)[cluster % PAGE_COUNTERS];
	*counter = *counter > UINT32_MAX - times ? UINT32_MAX : *counter + times;
	return 0;
}

uint32_t counters_get(const struct counters *counters, uint64_t cluster)
{
	const uint32_t *page;

	if (cluster / PAGE_COUNTERS >= counters->nr_pages)
		return 0;
	page = counters->pages[cluster / PAGE_COUNTERS];
	return page ? page[cluster % PAGE_COUNTERS] : 0;
}

uint64_t counters_next(const struct counters *counters, uint64_t cluster)
{
	uint64_t page = cluster / PAGE_COUNTERS;

	while (page < counters->nr_pages && !counters->pages[page])
		cluster = ++page * PAGE_COUNTERS;
	return cluster;
}

struct stored_refcounts {
	const struct host_file *file;
	unsigned int cluster_bits;
	unsigned int order;		/* a refcount has 1 << order bits */
	unsigned int slice_bytes;
	uint64_t nr_blocks;
	uint64_t *table;		/* host byte order */
	struct block_cache *slices;
};

static int load_table(struct stored_refcounts *stored,
		      const struct qcow2_header_info *info,
		      struct image_error *err)
{
	size_t bytes = (size_t)info->refcount_table_clusters <<
		       info->cluster_bits;
	uint64_t i;
	int ret;

	stored->nr_blocks = bytes / sizeof(*stored->table);
	stored->table = malloc(bytes);
	stored->slices = block_cache_create(stored->slice_bytes, CACHE_BYTES);
	if (!stored->table || !stored->slices)
		return image_fail_memory(err, host_file_path(stored->file));
	ret = host_file_read(stored->file, info->refcount_table_offset,
			     stored->table, bytes, err);
	for (i = 0; !ret && i < stored->nr_blocks; i++)
		stored->table[i] = be64toh(stored->table[i]);
	return ret;
}

int stored_refcounts_open(const struct host_file *file,
			  const struct qcow2_header_info *info,
			  struct stored_refcounts **out,
			  struct image_error *err)
{
	struct stored_refcounts *stored = calloc(1, sizeof(*stored));
	int ret;

	if (!stored)
		return image_fail_memory(err, host_file_path(file));
	stored->file = file;
	stored->cluster_bits = info->cluster_bits;
	stored->order = info->refcount_order;
	stored->slice_bytes = 1U << info->cluster_bits;
	if (stored->slice_bytes > SLICE_BYTES)
		stored->slice_bytes = SLICE_BYTES;
	ret = load_table(stored, info, err);
	if (ret) {
		stored_refcounts_close(stored);
		return ret;
	}
	*out = stored;
	return 0;
}

void stored_refcounts_close(struct stored_refcounts *stored)
{
	if (!stored)
		return;
	block_cache_destroy(stored->slices);
	free(stored->table);
	free(stored);
}

uint64_t stored_refcounts_blocks(const struct stored_refcounts *stored)
{
	return stored->nr_blocks;
}

uint64_t stored_refcounts_block(const struct stored_refcounts *stored,
				uint64_t index)
{
	return stored->table[index];
}

uint64_t stored_refcounts_per_block(const struct stored_refcounts *stored)
{
	return qcow2_refcounts_in(1ULL << stored->cluster_bits, stored->order);
}

static int fill_slice(void *context, uint64_t key, void *data,
		      struct image_error *err)
{
	const struct stored_refcounts *stored = context;

	return host_file_read(stored->file, key, data, stored->slice_bytes,
			      err);
}

int stored_refcounts_get(struct stored_refcounts *stored, uint64_t cluster,
			 uint64_t *refcount, struct image_error *err)
{
	uint64_t per_block = stored_refcounts_per_block(stored);
	uint64_t per_slice = qcow2_refcounts_in(stored->slice_bytes,
						stored->order);
	uint64_t index = cluster / per_block, offset;
	struct cached_block *block;
	int ret;

	*refcount = 0;
	if (index >= stored->nr_blocks)
		return 0;
	offset = qcow2_refcount_block(stored->table[index]);
	if (!offset || offset & ((1ULL << stored->cluster_bits) - 1) ||
	    offset >= host_file_size(stored->file))
		return 0;
	offset += cluster % per_block / per_slice * stored->slice_bytes;
	ret = block_cache_get(stored->slices, offset, fill_slice, stored,
			      &block, err);
	if (ret)
		return ret;
	*refcount = qcow2_get_refcount(cached_block_data(block),
				       cluster % per_slice, stored->order);
	block_cache_put(block);
	return 0;
}
