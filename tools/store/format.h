/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_FORMAT_H
#define DMLIVE_META_FORMAT_H

/* Writing a new bitmap store. */

#include "store/layout.h"

/*
 * Write a store to a file, which is made or emptied, or to a block device, which must
 * not be in use. The header is written last, so an interrupted format leaves no
 * store. With @force a device that holds something else is accepted, and an existing
 * file replaced. 0 or a negative errno, with a message printed.
 */
int meta_format(const char *path, const struct meta_spec *spec, bool force);

/*
 * Undo what meta_format() has written to a device, which must not be in use, so that
 * it holds nothing. A failure is only reported.
 */
void meta_wipe(const char *path);

#endif /* DMLIVE_META_FORMAT_H */
