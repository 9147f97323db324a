/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CHECK_INTERNAL_H
#define DMLIVE_CHECK_INTERNAL_H

/* A check in progress: shared by its counting and its comparing. */

#include "check.h"
#include "host-file.h"
#include "l2-list.h"
#include "qcow2-header.h"
#include "qcow2-snapshot.h"
#include "refcounts.h"

#define CHECK_PIECE_ENTRIES 8192

typedef unsigned long long ull;

struct checker {
	struct check *check;
	struct image_error *err;
	const struct host_file *file;
	const struct qcow2_header_info *info;
	const struct qcow2_snapshot_table *snapshots;
	uint64_t cluster_bytes;
	uint64_t nr_clusters;		/* of the file */
	struct counters *counted;
	struct stored_refcounts *stored;
	struct l2_list l2_tables;
	bool is_bitmaps_unknown;	/* what nothing refers to may be theirs */
	__be64 piece[CHECK_PIECE_ENTRIES];	/* of the table being walked */
};

static inline bool check_aligned(const struct checker *c, uint64_t offset)
{
	return !(offset & (c->cluster_bytes - 1));
}

/* Report a finding that endangers data. */
void check_corruption(struct checker *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

typedef int (*entry_visitor)(struct checker *c, uint64_t index, uint64_t entry,
			     void *context);

/*
 * Visit those of the @entries 64-bit numbers at @offset in the file that are
 * not 0. A visitor must not walk another table.
 */
int check_walk_table(struct checker *c, uint64_t offset, uint64_t entries,
		     entry_visitor visit, void *context);

/*
 * Count every cluster that can be reached from the header, and list the L2
 * tables. 0 or a negative errno.
 */
int check_count(struct checker *c);

#endif /* DMLIVE_CHECK_INTERNAL_H */
