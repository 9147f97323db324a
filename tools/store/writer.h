/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_WRITER_H
#define DMLIVE_META_WRITER_H

/*
 * A qcow2 image, with bitmaps or without, that is open to have its bitmaps changed.
 * Nobody else has it open meanwhile, as far as that can be ensured. What each change
 * leaves when it is interrupted is described in Documentation/bitmap-format.rst.
 *
 * Functions return 0 or a negative errno, with a message printed.
 */

#include "base/guard.h"
#include "qcow2/check.h"
#include "store/inspect.h"

/*
 * @store: as it was when it was opened; functions that change it keep up to date what
 *	they need themselves
 * @fd: for writing; store.fd is for reading
 * @is_changed: something was written
 * @cluster: memory for one cluster, for callers to use
 * @guard: when it has acted, nothing is written any more, -ECANCELED; or NULL
 * @allocator: loaded by the first that needs it; see store/allocate.c
 */
struct meta_writer {
	struct meta_store store;
	int fd;
	bool is_file;
	bool is_changed;
	uint64_t cluster_bytes;
	uint8_t *cluster;
	const struct guard *guard;
	struct meta_allocator *allocator;
	uint64_t nr_allocated;		/* clusters */
};

enum meta_writer_flags {
	/* Clusters may be allocated or freed: check that what is used has refcounts. */
	META_WRITER_REFCOUNTS = 1 << 0,
	/* The device is held by a target that is suspended and has closed the store. */
	META_WRITER_HELD = 1 << 1,
};

/*
 * Check and open it. @flags: set of enum meta_writer_flags. @path is kept by
 * reference. -EBUSY: in use; -EOPNOTSUPP: not an image that can be read; -EINVAL: one
 * with errors.
 */
int meta_writer_open(const char *path, unsigned int flags,
		     struct meta_writer *writer);
void meta_writer_close(struct meta_writer *writer);

/* image_check() of the qcow2 image @path, without what lies below it. */
int meta_check_image(const char *path, struct check *check);

int meta_write(struct meta_writer *writer, uint64_t offset, const void *data,
	       size_t bytes);
int meta_read(struct meta_writer *writer, uint64_t offset, void *to,
	      size_t bytes);
int meta_sync(struct meta_writer *writer);

/* Write, and make it durable. */
int meta_write_sync(struct meta_writer *writer, uint64_t offset,
		    const void *data, size_t bytes);

/*
 * Repair what a target left when it was interrupted while it rewrote the flags of the
 * directory: see UPDATING. Before any other change.
 */
int meta_finish_updating(struct meta_writer *writer);

/* Set or clear autoclear bit 0, and make that durable. */
int meta_set_autoclear(struct meta_writer *writer, bool valid);

/* The same for the flags of the state extension, which must be there. */
int meta_set_state(struct meta_writer *writer, uint32_t flags);

#endif /* DMLIVE_META_WRITER_H */
