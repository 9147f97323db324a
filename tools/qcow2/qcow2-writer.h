/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_QCOW2_WRITER_H
#define DMLIVE_QCOW2_WRITER_H

/*
 * The parts of the qcow2 writer: which clusters of the file are in use (space),
 * what the guest's clusters are (map), and the header. The first two take no
 * locks: their user keeps threads apart.
 *
 * All offsets and lengths are in bytes of the file, "cluster" numbers are counts
 * of clusters, of the file for space and of the guest for the map.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../dm-live/qcow2/header.h"
#include "image.h"
#include "output.h"

#define WRITER_REFCOUNT_ORDER 4		/* refcounts have 16 bits */

/*
 * Space: the file's clusters are given out in ascending order and never freed.
 * The refcount of a cluster is the number of compressed clusters that touch it,
 * and one if none do.
 */
struct qcow2_space {
	struct output *output;
	unsigned int cluster_bits;
	uint64_t next_cluster;		/* all below are in use */

	/* What is left for compressed data of the clusters given out last. */
	uint64_t tail_offset;
	uint64_t tail_end;

	/*
	 * References of compressed clusters in the range of the refcount block
	 * @shared_block. They only ever come in ascending order, so this is the
	 * only block that is not final; or NULL.
	 */
	uint16_t *shared;
	uint64_t shared_block;

	/* Where refcount blocks have been written; 0: all of the block is ones. */
	uint64_t *block_offsets;
	uint64_t nr_block_offsets;

	/* the refcount table, once space_finish() has written it */
	uint64_t table_offset;
	uint32_t table_clusters;
};

/* Cluster 0, the header's, is in use from the start. */
void space_init(struct qcow2_space *space, struct output *output,
		unsigned int cluster_bits);
void space_release(struct qcow2_space *space);

/* @clusters that follow each other. */
int space_clusters(struct qcow2_space *space, uint64_t clusters,
		   uint64_t *offset, struct image_error *err);

/* Room for @nr compressed clusters of so many bytes, back to back. */
int space_compressed(struct qcow2_space *space, const uint32_t *bytes,
		     unsigned int nr, uint64_t *offset,
		     struct image_error *err);

/* Write the refcounts. No more space can be allocated after that. */
int space_finish(struct qcow2_space *space, struct image_error *err);

/* An L2 table that is being filled. */
struct qcow2_l2 {
	uint64_t *entries;	/* NULL: none yet, or no more */
	uint32_t settled;	/* entries that are final */
	bool has_content;	/* not merely zeros that need no entry */
};

struct qcow2_map {
	struct qcow2_space *space;
	unsigned int cluster_bits;
	bool has_backing;
	uint64_t nr_clusters;
	uint32_t nr_l1;
	__be64 *l1;		/* room for whole clusters */
	struct qcow2_l2 *l2;	/* one for each L1 entry */
	uint64_t l1_offset;	/* once map_finish() has written it */
};

/* The map of a disk of @size_bytes; map_release() is to be called after failure too. */
int map_init(struct qcow2_map *map, struct qcow2_space *space,
	     uint64_t size_bytes, bool has_backing, struct image_error *err);
void map_release(struct qcow2_map *map);

/* Entries of the L2 table. A cluster that has got one gets no other: -EINVAL. */
int map_set_data(struct qcow2_map *map, uint64_t cluster, uint64_t count,
		 uint64_t offset, struct image_error *err);
int map_set_compressed(struct qcow2_map *map, uint64_t cluster,
		       uint64_t offset, uint32_t bytes,
		       struct image_error *err);
int map_set_zero(struct qcow2_map *map, uint64_t cluster, uint64_t count,
		 struct image_error *err);

/* Write all tables that have not been. */
int map_finish(struct qcow2_map *map, struct image_error *err);

/* The header's cluster, whose extensions are collected. */
struct qcow2_header_writer {
	unsigned int cluster_bits;
	char *backing_file;
	struct qcow2_stored_extension *extensions;
};

int header_writer_init(struct qcow2_header_writer *header, const char *path,
		       unsigned int cluster_bits, const char *backing_file,
		       const char *backing_format, struct image_error *err);
void header_writer_release(struct qcow2_header_writer *header);
int header_set_extension(struct qcow2_header_writer *header, const char *path,
			 uint32_t type, const void *data, size_t length,
			 struct image_error *err);

/*
 * @fields are complete but for the name of the backing file.
 */
int header_write(const struct qcow2_header_writer *writer,
		 struct output *output, struct qcow2_fields *fields,
		 struct image_error *err);

#endif /* DMLIVE_QCOW2_WRITER_H */
