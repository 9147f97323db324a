/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_QCOW2_LAYER_H
#define DMLIVE_QCOW2_LAYER_H

/* A qcow2 layer from inside: shared by its opening, its reading and its preflight. */

#include "block-cache.h"
#include "decompress.h"
#include "layer.h"

struct qcow2_layer {
	struct layer layer;
	struct qcow2_header_info info;
	struct qcow2_snapshot_table snapshots;
	struct host_file *data_file;	/* NULL: the clusters are in layer.file */
	uint64_t *l1;			/* host byte order */
	unsigned int l1_entries;
	unsigned int entry_shift;	/* log2 of an L2 entry's size */
	unsigned int unit_shift;	/* log2 of a cluster or subcluster */
	unsigned int slice_bytes;	/* piece of an L2 table in the cache */
	struct block_cache *l2_slices;	/* key: offset in the file */
	struct block_cache *clusters;	/* decompressed; key: the L2 entry */
	struct decompressor_pool *decompressors;
};

static inline struct qcow2_layer *to_qcow2(struct layer *layer)
{
	return (struct qcow2_layer *)layer;
}

static inline const char *qcow2_path(const struct qcow2_layer *q)
{
	return host_file_path(q->layer.file);
}

/* The operations of struct layer_ops. */
int qcow2_lookup(struct layer *layer, uint64_t offset, uint64_t length,
		 struct layer_run *run, struct image_error *err);
int qcow2_read_compressed(struct layer *layer, uint64_t descriptor,
			  uint64_t offset, void *buffer, size_t length,
			  struct image_error *err);

/*
 * Does the file have all that a compressed cluster, given by its L2 entry, may take? If
 * not, only reading it tells: its length is rounded up to sectors.
 */
bool qcow2_compressed_is_inside(const struct qcow2_layer *q, uint64_t entry);

#endif /* DMLIVE_QCOW2_LAYER_H */
