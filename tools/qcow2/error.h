/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IMAGE_ERROR_H
#define DMLIVE_IMAGE_ERROR_H

#include "image.h"

/* Write the message into @err, which may be NULL. */
void image_error_set(struct image_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The same, with the value of @code, a negative errno: so that a check is
 * "return image_fail(err, -EINVAL, ...)". A macro, for analyzers to see that
 * this is a failure.
 */
#define image_fail(err, code, ...) ({		\
	int image_fail_code = (code);		\
						\
	image_error_set((err), __VA_ARGS__);	\
	image_fail_code;			\
})

/* The same for lack of memory: returns -ENOMEM. */
int image_fail_memory(struct image_error *err, const char *path);

/*
 * Put in front of the message in @err which image names the file that cannot be
 * opened, and in which role, unless it says so already. Returns @code; 0: there is no
 * error.
 */
int image_blame(struct image_error *err, int code, const char *owner,
		const char *what);

#endif /* DMLIVE_IMAGE_ERROR_H */
