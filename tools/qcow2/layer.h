/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_LAYER_H
#define DMLIVE_LAYER_H

/*
 * One image file of a backing chain. A layer knows nothing of the layers below
 * it: it says what it holds itself, and which ranges it leaves to its backing.
 * Layers are read-only once opened, and used by any number of threads.
 */

#include <stdbool.h>
#include <stdint.h>

#include "host-file.h"
#include "image.h"
#include "qcow2-header.h"
#include "qcow2-snapshot.h"

enum run_kind {
	RUN_UNALLOCATED,	/* left to the backing */
	RUN_ZERO,
	RUN_DATA,
	RUN_COMPRESSED,
};

/* What a layer holds at a range. */
struct layer_run {
	enum run_kind kind;
	uint64_t length;
	const struct host_file *file;	/* RUN_DATA */
	uint64_t file_offset;		/* RUN_DATA */
	uint64_t descriptor;		/* RUN_COMPRESSED: the L2 entry */
};

struct layer;

struct layer_ops {
	const char *format;

	/*
	 * The run at @offset, at least 1 and at most @length long; the range
	 * lies within the layer's size. A compressed run ends with its cluster.
	 */
	int (*lookup)(struct layer *layer, uint64_t offset, uint64_t length,
		      struct layer_run *run, struct image_error *err);

	/* Read from one compressed cluster. */
	int (*read_compressed)(struct layer *layer, uint64_t descriptor,
			       uint64_t offset, void *buffer, size_t length,
			       struct image_error *err);
	void (*destroy)(struct layer *layer);
};

struct layer {
	const struct layer_ops *ops;
	struct host_file *file;		/* the layer owns it */
	uint64_t size_bytes;		/* that the guest sees */
	uint32_t cluster_bytes;
	const char *backing_name;	/* as the image gives it, or NULL */
	const char *backing_format;	/* or NULL: not stated */
};

/* May @owner name @path as its @what? 0, or -EPERM and a message. */
int image_check_named(const struct image_options *options, const char *owner,
		      const char *what, const char *path,
		      struct image_error *err);

/* Both take over @file if they succeed. */
int raw_layer_open(struct host_file *file, struct layer **layer,
		   struct image_error *err);
int qcow2_layer_open(struct host_file *file,
		     const struct image_options *options, struct layer **layer,
		     struct image_error *err);

/* The parts of a qcow2 layer; NULL if it is none. */
const struct qcow2_header_info *layer_qcow2_header(const struct layer *layer);
const struct qcow2_snapshot_table *
layer_qcow2_snapshots(const struct layer *layer);

/* The L1 table that the layer was opened with; NULL if it is empty. */
const uint64_t *layer_qcow2_l1(const struct layer *layer);

/* The external data file, or NULL. */
const struct host_file *layer_data_file(const struct layer *layer);

void layer_close(struct layer *layer);

#endif /* DMLIVE_LAYER_H */
