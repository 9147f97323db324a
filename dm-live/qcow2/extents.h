/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_EXTENTS_H
#define DM_LIVE_QCOW2_EXTENTS_H

/* No two structures of a bitmap store share a byte. */

#include "directory.h"

/**
 * struct qcow2_store_extent - a part of the image, for check_overlaps()
 * @offset: in bytes
 * @bytes: length, not 0
 * @what: for the message
 * @bitmap: whose it is, or NULL
 */
struct qcow2_store_extent {
	u64 offset;
	u64 bytes;
	const char *what;
	const struct qcow2_store_bitmap *bitmap;
};

/**
 * struct qcow2_store_extents - all that must not overlap
 * @list: made by the caller, with room for what qcow2_store_count_*() add up to
 * @nr: how many there are
 */
struct qcow2_store_extents {
	struct qcow2_store_extent *list;
	size_t nr;
};

/* The most that qcow2_store_add_header() adds. */
#define QCOW2_STORE_HEADER_EXTENTS	5

/** qcow2_store_count_bitmap - how many extents add_bitmap() adds at most */
size_t qcow2_store_count_bitmap(const struct qcow2_store_bitmap *bitmap);

/** qcow2_store_count_refcounts - how many add_refcounts() adds */
size_t qcow2_store_count_refcounts(const struct qcow2_store_header *header,
				   const __be64 *table);

/** qcow2_store_add_header - add the header and what it points to */
void qcow2_store_add_header(struct qcow2_store_extents *extents,
			    const struct qcow2_store_header *header);

/**
 * qcow2_store_add_bitmap - add a bitmap's table and clusters
 * @entries: of the table, as native numbers
 */
void qcow2_store_add_bitmap(struct qcow2_store_extents *extents,
			    const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    const u64 *entries);

/** qcow2_store_add_refcounts - add the refcount blocks; the table is checked */
void qcow2_store_add_refcounts(struct qcow2_store_extents *extents,
			       const struct qcow2_store_header *header,
			       const __be64 *table);

/** qcow2_store_check_overlaps - no two share a byte; the list gets sorted */
int qcow2_store_check_overlaps(struct qcow2_store_extents *extents,
			       struct qcow2_store_error *error);

#endif /* DM_LIVE_QCOW2_EXTENTS_H */
