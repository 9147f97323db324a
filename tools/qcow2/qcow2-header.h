/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_QCOW2_HEADER_H
#define DMLIVE_QCOW2_HEADER_H

/*
 * The header of a qcow2 image with its extensions, parsed and checked: pure
 * functions over bytes in memory. What they return obeys the format's rules
 * and QEMU's limits; whether the tables lie within the file is for the caller
 * to check, who knows the file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../dm-live/qcow2/tables.h"
#include "image.h"

/* All in the host's byte order; names are NULL if absent or empty. */
struct qcow2_header_info {
	unsigned int version;
	unsigned int cluster_bits;
	uint64_t size_bytes;		/* as in the header */
	unsigned int l1_entries;
	uint64_t l1_offset;
	uint64_t refcount_table_offset;
	unsigned int refcount_table_clusters;
	unsigned int refcount_order;
	unsigned int nr_snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible;
	uint64_t compatible;
	uint64_t autoclear;
	unsigned int header_bytes;
	enum qcow2_compression_type compression;

	/* from the extensions */
	char *backing_name;
	char *backing_format;
	char *data_file_name;
	char *backup_record;		/* JSON text */
	char *bitmaps_problem;		/* why they cannot be read; then none */
	bool has_bitmaps;
	unsigned int nr_bitmaps;
	uint64_t bitmap_directory_bytes;
	uint64_t bitmap_directory_offset;
};

/*
 * Parse @cluster, the first @length bytes of the file @path: at least the fixed
 * header, at most the first cluster (what is missing of it counts as zeros,
 * which the caller has put there). @force: accept the corrupt mark.
 */
int qcow2_header_parse(const void *cluster, size_t length, const char *path,
		       bool force, struct qcow2_header_info *info,
		       struct image_error *err);
void qcow2_header_release(struct qcow2_header_info *info);

static inline bool qcow2_has(const struct qcow2_header_info *info,
			     uint64_t incompatible_feature)
{
	return info->incompatible & incompatible_feature;
}

/* Entries of an L2 table, as a power of two. */
static inline unsigned int qcow2_l2_bits(const struct qcow2_header_info *info)
{
	return qcow2_l2_table_bits(info->cluster_bits, info->incompatible);
}

/* L1 entries that @size_bytes of guest data need. */
static inline uint64_t qcow2_l1_needed(const struct qcow2_header_info *info,
				       uint64_t size_bytes)
{
	return qcow2_l1_entries_needed(info->cluster_bits, info->incompatible,
				       size_bytes);
}

/*
 * Check a table of @entries of @entry_bytes each at @offset: not above
 * @max_bytes, aligned to a cluster, its end representable.
 */
int qcow2_check_table(const struct qcow2_header_info *info, const char *path,
		      const char *what, uint64_t offset, uint64_t entries,
		      size_t entry_bytes, uint64_t max_bytes,
		      struct image_error *err);

#endif /* DMLIVE_QCOW2_HEADER_H */
