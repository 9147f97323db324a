/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IMAGE_PROBE_H
#define DMLIVE_IMAGE_PROBE_H

/*
 * Which format an image has. A raw image can be made to look like any other
 * format by writing to it. So a stated format always counts, and the contents
 * decide only where none is stated, as in QEMU.
 */

#include "host-file.h"
#include "image.h"

enum probe_format {
	FORMAT_RAW,
	FORMAT_QCOW2,
};

/* @name: the stated format, or NULL. */
int image_format_find(const struct host_file *file, const char *name,
		      enum probe_format *format, struct image_error *err);

#endif /* DMLIVE_IMAGE_PROBE_H */
