/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_OUTPUT_FORMAT_H
#define DMLIVE_OUTPUT_FORMAT_H

/*
 * The format of an image that is to be written, the same for all commands: the user
 * states it, or the suffix of its name says it; the two must not contradict each
 * other.
 *
 *	.qcow2, .qcow		qcow2
 *	.raw, .img, none	raw
 *	any other		must be stated
 *
 * A block device is raw unless its name ends in .qcow2 or it is stated: other dots in
 * its name mean nothing.
 */

#include <stdbool.h>

#include "image.h"
#include "writer.h"

/*
 * @option: what states the format, for messages
 * @is_stated: *@format is what was stated; else it is set
 *
 * 0, or -EINVAL after a message.
 */
int output_format_choose(const char *path, const char *option, bool is_stated,
			 enum writer_format *format, struct image_error *err);

#endif /* DMLIVE_OUTPUT_FORMAT_H */
