/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_REFCOUNTS_H
#define DM_LIVE_QCOW2_REFCOUNTS_H

/* The refcount table and the refcounts in its blocks. */

#include "store-header.h"

/** qcow2_store_refcount_entries - number of entries of the refcount table */
u64 qcow2_store_refcount_entries(const struct qcow2_store_header *header);

/**
 * qcow2_store_check_refcount_table - check where the refcount blocks are
 * @table: qcow2_store_refcount_entries() entries, as on disk
 */
int qcow2_store_check_refcount_table(const struct qcow2_store_header *header,
				     const __be64 *table,
				     struct qcow2_store_error *error);

#endif /* DM_LIVE_QCOW2_REFCOUNTS_H */
