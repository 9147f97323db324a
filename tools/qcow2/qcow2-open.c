// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening and closing a qcow2 layer: header, snapshots, L1 table, data file,
 * caches. Memory is bounded by QEMU's limits on tables, which the header's
 * parser has enforced, and by what the file really holds.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/header.h"
#include "error.h"
#include "path.h"
#include "qcow2-layer.h"

#define SECTOR_BYTES 512
#define L2_SLICE_BYTES (16U << 10)
#define DEFAULT_L2_CACHE_BYTES (16U << 20)
/* Decompressed clusters: for reads of less than one, which come in bursts. */
#define CACHED_CLUSTERS 64U
#define CLUSTER_CACHE_BYTES (16U << 20)

static void qcow2_destroy(struct layer *layer)
{
	struct qcow2_layer *q = to_qcow2(layer);

	block_cache_destroy(q->l2_slices);
	block_cache_destroy(q->clusters);
	decompressor_pool_destroy(q->decompressors);
	host_file_close(q->data_file);
	qcow2_snapshots_release(&q->snapshots);
	qcow2_header_release(&q->info);
	free(q->l1);
	free(q);
}

static const struct layer_ops qcow2_ops = {
	.format = "qcow2",
	.lookup = qcow2_lookup,
	.read_compressed = qcow2_read_compressed,
	.destroy = qcow2_destroy,
};

static int read_header(struct qcow2_layer *q, bool force,
		       struct image_error *err)
{
	unsigned char start[QCOW2_V2_HEADER_BYTES];
	unsigned int bits;
	size_t length;
	void *cluster;
	int ret;

	ret = host_file_read(q->layer.file, 0, start, sizeof(start), err);
	if (ret)
		return ret;
	/* With a bad cluster size, the parser gets enough to say so. */
	bits = qcow2_probe_cluster_bits(start, sizeof(start));
	length = 1U << (bits ?: QCOW2_MIN_CLUSTER_BITS);
	cluster = malloc(length);
	if (!cluster)
		return image_fail_memory(err, qcow2_path(q));
	ret = host_file_read(q->layer.file, 0, cluster, length, err);
	if (!ret)
		ret = qcow2_header_parse(cluster, length, qcow2_path(q), force,
					 &q->info, err);
	free(cluster);
	return ret;
}

static int load_l1(struct qcow2_layer *q, uint64_t offset, unsigned int entries,
		   struct image_error *err)
{
	size_t bytes = (size_t)entries * sizeof(*q->l1);
	unsigned int i;
	int ret;

	if (!entries)
		return 0;
	if (offset + bytes > host_file_size(q->layer.file))
		return image_fail(err, -EINVAL,
				  "%s: the L1 table reaches beyond the end of the file, which was truncated",
				  qcow2_path(q));
	q->l1 = malloc(bytes);
	if (!q->l1)
		return image_fail_memory(err, qcow2_path(q));
	ret = host_file_read(q->layer.file, offset, q->l1, bytes, err);
	if (ret)
		return ret;
	for (i = 0; i < entries; i++)
		q->l1[i] = be64toh(q->l1[i]);
	q->l1_entries = entries;
	return 0;
}

static int load_active(struct qcow2_layer *q, struct image_error *err)
{
	q->layer.size_bytes = q->info.size_bytes;
	return load_l1(q, q->info.l1_offset, q->info.l1_entries, err);
}

static int load_snapshot(struct qcow2_layer *q, const char *key,
			 struct image_error *err)
{
	const struct qcow2_snapshot *snapshot;
	int ret;

	snapshot = qcow2_snapshot_find(&q->snapshots, key);
	if (!snapshot)
		return image_fail(err, -ENOENT,
				  "%s: has no internal snapshot '%s'; dmlive image info lists them",
				  qcow2_path(q), key);
	ret = qcow2_check_table(&q->info, qcow2_path(q), "L1 table of snapshot",
				snapshot->l1_offset, snapshot->l1_entries,
				sizeof(__be64), QCOW2_MAX_L1_BYTES, err);
	if (ret)
		return ret;
	if (snapshot->l1_entries <
	    qcow2_l1_needed(&q->info, snapshot->size_bytes))
		return image_fail(err, -EINVAL,
				  "%s: L1 table of snapshot '%s' too small: %u entries for %llu bytes",
				  qcow2_path(q), key, snapshot->l1_entries,
				  (unsigned long long)snapshot->size_bytes);
	q->layer.size_bytes = snapshot->size_bytes;
	return load_l1(q, snapshot->l1_offset, snapshot->l1_entries, err);
}

static int open_data_file(struct qcow2_layer *q,
			  const struct image_options *options,
			  struct image_error *err)
{
	char *path;
	int ret;

	if (!qcow2_has(&q->info, QCOW2_INCOMPAT_DATA_FILE))
		return 0;
	ret = path_of_data_file(q->info.data_file_name, qcow2_path(q), &path,
				err);
	if (ret)
		return ret;
	ret = image_check_named(options, qcow2_path(q), "data file", path, err);
	if (!ret)
		ret = host_file_open(path, &q->data_file, err);
	free(path);
	if (ret)
		return ret;
	if (host_file_same(q->data_file, q->layer.file))
		return image_fail(err, -ELOOP, "%s: names itself as data file",
				  qcow2_path(q));
	return options->force ? 0 : host_file_lock(q->data_file, err);
}

static int create_caches(struct qcow2_layer *q, uint64_t cache_bytes,
			 struct image_error *err)
{
	uint64_t all_l2_bytes = (uint64_t)q->l1_entries *
				q->layer.cluster_bytes;
	uint32_t clusters_bytes;

	if (!cache_bytes)
		cache_bytes = DEFAULT_L2_CACHE_BYTES;
	if (cache_bytes > all_l2_bytes)
		cache_bytes = all_l2_bytes;
	q->l2_slices = block_cache_create(q->slice_bytes, cache_bytes);
	clusters_bytes = CACHED_CLUSTERS * q->layer.cluster_bytes;
	if (clusters_bytes > CLUSTER_CACHE_BYTES)
		clusters_bytes = CLUSTER_CACHE_BYTES;
	q->clusters = block_cache_create(q->layer.cluster_bytes,
					 clusters_bytes);
	q->decompressors = decompressor_pool_create(q->info.compression,
						    q->layer.cluster_bytes);
	if (!q->l2_slices || !q->clusters || !q->decompressors)
		return image_fail_memory(err, qcow2_path(q));
	return 0;
}

static void set_geometry(struct qcow2_layer *q)
{
	unsigned int cluster_bits = q->info.cluster_bits;
	bool extended = qcow2_has(&q->info, QCOW2_INCOMPAT_EXTENDED_L2);

	q->layer.cluster_bytes = 1U << cluster_bits;
	q->layer.backing_name = q->info.backing_name;
	q->layer.backing_format = q->info.backing_format;
	q->entry_shift = extended ? 4 : 3;
	q->unit_shift = extended ? cluster_bits - 5 : cluster_bits;
	q->slice_bytes = q->layer.cluster_bytes < L2_SLICE_BYTES ?
			 q->layer.cluster_bytes : L2_SLICE_BYTES;
}

static int setup(struct qcow2_layer *q, const struct image_options *options,
		 struct image_error *err)
{
	int ret;

	ret = read_header(q, options->force, err);
	if (ret)
		return ret;
	set_geometry(q);
	ret = qcow2_snapshots_read(q->layer.file, &q->info, &q->snapshots, err);
	if (ret)
		return ret;
	ret = options->snapshot ? load_snapshot(q, options->snapshot, err) :
				  load_active(q, err);
	if (ret)
		return ret;
	/* The guest sees whole sectors; QEMU rounds a qcow2 image down. */
	q->layer.size_bytes &= ~(uint64_t)(SECTOR_BYTES - 1);
	if (!options->metadata_only) {
		ret = image_blame(err, open_data_file(q, options, err),
				  qcow2_path(q), "data file");
		if (ret)
			return ret;
	}
	return create_caches(q, options->cache_bytes, err);
}

int qcow2_layer_open(struct host_file *file,
		     const struct image_options *options, struct layer **layer,
		     struct image_error *err)
{
	struct qcow2_layer *q = calloc(1, sizeof(*q));
	int ret;

	if (!q)
		return image_fail_memory(err, host_file_path(file));
	q->layer.ops = &qcow2_ops;
	q->layer.file = file;
	ret = setup(q, options, err);
	if (ret) {
		qcow2_destroy(&q->layer);
		return ret;
	}
	*layer = &q->layer;
	return 0;
}

const struct qcow2_header_info *layer_qcow2_header(const struct layer *layer)
{
	if (layer->ops != &qcow2_ops)
		return NULL;
	return &((const struct qcow2_layer *)layer)->info;
}

const struct qcow2_snapshot_table *
layer_qcow2_snapshots(const struct layer *layer)
{
	if (layer->ops != &qcow2_ops)
		return NULL;
	return &((const struct qcow2_layer *)layer)->snapshots;
}

const struct host_file *layer_data_file(const struct layer *layer)
{
	if (layer->ops != &qcow2_ops)
		return NULL;
	return ((const struct qcow2_layer *)layer)->data_file;
}

const uint64_t *layer_qcow2_l1(const struct layer *layer)
{
	if (layer->ops != &qcow2_ops)
		return NULL;
	return ((const struct qcow2_layer *)layer)->l1;
}
