/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CONVERT_H
#define DMLIVE_CONVERT_H

/* Writing an image out as a raw file or onto a block device, by many threads. */

#include <stdatomic.h>

#include "image.h"

struct convert {
	/* set by the caller */
	struct image *image;
	const char *target_path;
	unsigned int threads;		/* 0: one for each CPU */

	/* for whoever shows progress: bytes of the guest's address space */
	_Atomic uint64_t done_bytes;
};

/*
 * Write the whole image to the target and make it durable. A regular file is
 * created or replaced and is sparse where the image is zero. A block device
 * must not be in use and must be large enough; zeros are written to it as such,
 * what lies beyond the image is left alone. A target that is part of the image's
 * own chain is refused.
 *
 * On failure what has been written stays.
 */
int convert_run(struct convert *convert, struct image_error *err);

#endif /* DMLIVE_CONVERT_H */
