/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IMAGE_PATH_H
#define DMLIVE_IMAGE_PATH_H

/*
 * The names that an image gives of other files, understood as QEMU understands
 * them. Only files and block devices are reached: by a plain name, by "file:NAME",
 * or by a "json:" name whose drivers are file or host_device, qcow2 and raw. Every
 * other name is refused.
 */

#include <stdbool.h>

#include "image.h"

/* Without a protocol: a relative name starts from the folder of the image. */
bool path_is_plain_name(const char *name);

/*
 * The path of the data file @name of the image @owner: a relative name starts from
 * the current folder. The caller frees *path.
 */
int path_of_data_file(const char *name, const char *owner, char **path,
		      struct image_error *err);

/*
 * The path of the backing file @name of the image @overlay: a relative name
 * starts from the overlay's folder, as its path is given; where there is no such
 * file, and the overlay's path is a link, from the folder of what it leads to. The
 * caller frees *path. *format: the one that a "json:" name states, or NULL.
 */
int path_of_backing(const char *name, const char *overlay, char **path,
		    const char **format, struct image_error *err);

/*
 * path-json.c: the same for a name that begins with "json:"; @what is for the
 * message.
 */
int path_of_json_name(const char *name, const char *owner, const char *what,
		      char **path, const char **format,
		      struct image_error *err);

/* Refuse @name, for the reason @why. */
int path_refuse_name(const char *name, const char *owner, const char *what,
		     const char *why, struct image_error *err);

#endif /* DMLIVE_IMAGE_PATH_H */
