/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_EXTENSION_H
#define DMLIVE_META_EXTENSION_H

/* Header extensions of an image, added and changed in place. */

#include "store/writer.h"

/*
 * Where the payload of the extension of this type is in the first cluster, and its
 * length; 0: there is none.
 */
size_t meta_find_extension(const struct meta_store *store, uint32_t type,
			   uint32_t *bytes);

/* Where the mark of their end is; 0: there is none. */
size_t meta_extensions_end(const struct meta_store *store);

/*
 * Add an extension behind the others. An interrupted call adds nothing. 0 or a
 * negative errno, with a message printed; -EINVAL: no room in the first cluster.
 */
int meta_add_extension(struct meta_writer *writer, uint32_t type,
		       const void *payload, uint32_t bytes);

/*
 * The same for a text, in which blanks at the end do not matter: it takes the place of
 * a large enough extension of type QCOW2_EXT_DMLIVE_FREE, if there is one.
 */
int meta_add_text_extension(struct meta_writer *writer, uint32_t type,
			    const char *text);

/* Change the type of the extension whose payload is at @at. */
int meta_retype_extension(struct meta_writer *writer, size_t at,
			  uint32_t type);

#endif /* DMLIVE_META_EXTENSION_H */
