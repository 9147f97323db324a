/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IMAGE_PATH_H
#define DMLIVE_IMAGE_PATH_H

/*
 * The names that an image gives of other files, understood as QEMU understands
 * them. Only files are reached: a name with a protocol ("nbd:", "json:", ...) is
 * refused.
 */

#include "image.h"

/*
 * @name, stated in @owner as its @what, without a "file:" prefix: *path points
 * into @name.
 */
int path_of_file_name(const char *name, const char *owner, const char *what,
		      const char **path, struct image_error *err);

/*
 * The path of the backing file @name of the image @overlay: a relative name
 * starts from the overlay's folder. The caller frees *path.
 */
int path_of_backing(const char *name, const char *overlay, char **path,
		    struct image_error *err);

#endif /* DMLIVE_IMAGE_PATH_H */
