/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_ORIGIN_H
#define DMLIVE_META_ORIGIN_H

/*
 * The image that a device was restored from, in the header extension
 * QCOW2_EXT_DMLIVE_ORIGIN of the store that tracks its changes: the backup that a
 * bitmap belongs to as long as it has the generation that is written there. The format
 * is described in Documentation/bitmap-format.rst.
 *
 * Functions return 0 or a negative errno, with a message printed unless they say
 * otherwise.
 */

#include "store/writer.h"

/*
 * @identity: what identifies the image, see identity.h
 * @image: its path when it was restored, for messages
 * @format: "qcow2" or "raw"
 */
struct meta_origin {
	char *bitmap;
	uint64_t generation;
	char *identity;
	char *image;
	char *format;
};

/* -ENOENT, without a message: there is none that can be read. To be freed in any case. */
int meta_origin_read(const struct meta_store *store, struct meta_origin *origin);
void meta_origin_free(struct meta_origin *origin);

/*
 * Replace it, and give the bitmap its generation. If this is interrupted, the bitmap
 * belongs to no backup.
 */
int meta_origin_write(struct meta_writer *writer,
		      const struct meta_store_bitmap *bitmap,
		      const struct meta_origin *origin);

#endif /* DMLIVE_META_ORIGIN_H */
