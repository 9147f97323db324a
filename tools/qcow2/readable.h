/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_READABLE_H
#define DMLIVE_READABLE_H

/*
 * How much of an image's content can be read when a part of its file is missing or its
 * tables are damaged. Only the tables are checked, not the data.
 */

#include <stdbool.h>
#include <stdint.h>

#include "image.h"

/*
 * In bytes of the disk.
 * @readable: what has data in this layer that can be read
 * @unreadable: what cannot be read, nor known whether the layer has it
 * @is_whole: false: so much was looked at that counting stopped
 * @first: why the first that is unreadable is so
 */
struct image_readable {
	uint64_t readable;
	uint64_t unreadable;
	bool is_whole;
	struct image_error first;
};

/* For the layer @depth alone, including what layers above hide. */
void image_count_readable(struct image *image, unsigned int depth,
			  struct image_readable *count);

#endif /* DMLIVE_READABLE_H */
