/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_INSPECT_H
#define DMLIVE_META_INSPECT_H

/*
 * Looking at a bitmap store: everything is read through the checks that the
 * kernel makes (dm-live/qcow2/directory.h). Nothing is written.
 */

#include "../dm-live/qcow2/directory.h"

struct meta_store_bitmap {
	struct qcow2_store_bitmap entry;
	u64 *table;			/* its entries, in meta_store.tables */
};

/*
 * @backing: the image's backing file as written there, or NULL
 * @backing_format: or NULL
 * @description: text of the restore description, or NULL
 */
struct meta_store {
	const char *path;
	int fd;
	struct qcow2_store_header header;
	uint8_t *first_cluster;
	uint8_t *directory;
	u64 *tables;
	struct meta_store_bitmap *bitmaps;	/* header.nr_bitmaps */
	char *backing;
	char *backing_format;
	char *description;
};

/*
 * Read and check the store, of a block device as it is on the disk. 0 or a negative
 * errno, with a message printed; -EINVAL when it is not a valid store, -EOPNOTSUPP when
 * it is not a store, or one that is not supported. @path is kept by reference.
 */
int meta_store_open(const char *path, struct meta_store *store);
void meta_store_close(struct meta_store *store);

/* The bitmap of that name, or NULL. */
struct meta_store_bitmap *meta_store_find(struct meta_store *store,
					  const char *name);

/* Is it a name of dmlive's own, see QCOW2_DMLIVE_RESERVED_PREFIX? */
bool meta_name_is_reserved(const char *name, size_t bytes);

/*
 * Call @each for every run of set bits, as a range of the tracked device, in
 * ascending order, until it returns other than 0. Returns that, or a negative
 * errno.
 */
int meta_store_walk(struct meta_store *store,
		    const struct meta_store_bitmap *bitmap,
		    int (*each)(void *context, uint64_t offset,
				uint64_t length),
		    void *context);

#endif /* DMLIVE_META_INSPECT_H */
