/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_EXTENSION_H
#define DMLIVE_META_EXTENSION_H

/* Header extensions of an image, added and changed in place. */

#include "meta/writer.h"

/*
 * Where the payload of the extension of this type stands in the first cluster, and
 * how long it is; 0: there is none.
 */
size_t meta_find_extension(const struct meta_store *store, uint32_t type,
			   uint32_t *bytes);

/* Where the mark of their end stands; 0: there is none. */
size_t meta_extensions_end(const struct meta_store *store);

/*
 * Add an extension behind the others. An interrupted one is not there. 0 or a
 * negative errno, with a message printed; -EINVAL: no room in the first cluster.
 */
int meta_add_extension(struct meta_writer *writer, uint32_t type,
		       const void *payload, uint32_t bytes);

/*
 * The same for a text, which blanks at its end do not change: it takes the place of an
 * extension that is QCOW2_EXT_DMLIVE_FREE and large enough, if there is one.
 */
int meta_add_text_extension(struct meta_writer *writer, uint32_t type,
			    const char *text);

/* Change the type of an extension whose payload stands at @at. */
int meta_retype_extension(struct meta_writer *writer, size_t at,
			  uint32_t type);

#endif /* DMLIVE_META_EXTENSION_H */
