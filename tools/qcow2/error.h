/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IMAGE_ERROR_H
#define DMLIVE_IMAGE_ERROR_H

#include "image.h"

/*
 * Write the message into @err (which may be NULL) and return @code, a negative
 * errno: so that a check is "return image_fail(err, -EINVAL, ...)".
 */
int image_fail(struct image_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for lack of memory: returns -ENOMEM. */
int image_fail_memory(struct image_error *err, const char *path);

#endif /* DMLIVE_IMAGE_ERROR_H */
