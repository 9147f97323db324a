/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_METADATA_H
#define DM_ALLOCTRACK_METADATA_H

/* The metadata device of a table: where the allocation bitmap is durable. */

#include "alloctrack.h"

/**
 * at_meta_open - open the store and check that it fits; writes nothing
 * Sets ti->error. Context: may sleep.
 */
int at_meta_open(struct at_table *table, unsigned int block_shift);

/** at_meta_activate - load the bitmap and begin to keep it durable (preresume) */
int at_meta_activate(struct at_table *table);

/** at_meta_deactivate - last commit (postsuspend) */
void at_meta_deactivate(struct at_table *table);

/**
 * at_meta_flush - make the data on the volume durable, and then their bits
 * Context: may sleep. Return: 0 or a negative errno.
 */
int at_meta_flush(struct at_table *table);

/** at_meta_failed - can no more blocks become allocated durably? Any context. */
static inline bool at_meta_failed(const struct at_table *table)
{
	return READ_ONCE(table->store_failed);
}

/** at_meta_commits - does a flush need a commit, which may fail? Any context. */
static inline bool at_meta_commits(const struct at_table *table)
{
	return table->store_active ||
	       (at_meta_failed(table) && table->device->lacks_bits);
}

#endif /* DM_ALLOCTRACK_METADATA_H */
