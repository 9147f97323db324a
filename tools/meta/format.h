/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_FORMAT_H
#define DMLIVE_META_FORMAT_H

/* Writing a new bitmap store. */

#include "meta/layout.h"

/*
 * Write a store to a file, which is made or emptied, or to a block device,
 * which must not be in use. The header is written last, so an interrupted format
 * leaves no store. With @force a device that holds something else is taken, and
 * an existing file replaced. 0 or a negative errno, with a message printed.
 */
int meta_format(const char *path, const struct meta_spec *spec, bool force);

#endif /* DMLIVE_META_FORMAT_H */
