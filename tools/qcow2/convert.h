/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CONVERT_H
#define DMLIVE_CONVERT_H

/* Writing an image out as another one, by many threads. */

#include <stdatomic.h>

#include "image.h"
#include "writer.h"

struct convert {
	/* set by the caller */
	struct image *image;
	const char *target_path;
	struct writer_options options;	/* without size and backing file */
	/* Only what the image itself holds; its backing file is the target's. */
	bool keep_backing;
	unsigned int threads;		/* 0: one for each CPU */
	/* The name of a backing device that keeps its meaning, to be freed; or NULL. */
	char *(*stable_name)(const char *path);
	/* Add to the complete target what it says about itself; or NULL. */
	int (*describe)(const struct convert *convert, struct writer *writer,
			struct image_error *err);
	const void *context;		/* of that */

	/* May be set at any time, also by a signal handler: give up. */
	_Atomic bool cancelled;

	/* for a progress display: bytes of the guest's address space */
	_Atomic uint64_t done_bytes;
	/* and of the image's tables, which are checked first */
	_Atomic uint64_t checked_bytes;
	_Atomic uint64_t tables_bytes;
};

/* Refuse a target that is part of the image. */
int convert_check_target(const struct convert *convert,
			 struct image_error *err);

/*
 * Write the image to the target and make it durable, as writer.h describes. A target
 * that is part of the image's own chain is refused, and an image of which a part is
 * missing, before the target is touched.
 *
 * On failure, and when it is cancelled (-ECANCELED), there is no target.
 */
int convert_run(struct convert *convert, struct image_error *err);

#endif /* DMLIVE_CONVERT_H */
