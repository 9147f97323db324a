/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DEVICE_NAME_H
#define DEVICE_NAME_H

/* Which mapped device a user means: by its name, a path of it, or GROUP/VOLUME. */
#include <stddef.h>

#include "lib/dm.h"

/*
 * The path that @given leads to: @given itself, or /dev/GROUP/VOLUME. False: it is a
 * bare word, and so a name. The path may be that of anything, or of nothing.
 */
bool device_name_path(const char *given, char *path, size_t path_bytes);

/*
 * The name of the mapped device that is meant, which is pinned (dm_pin()). A bare word
 * is taken for a name whether there is such a device or not. An exit status; what is
 * wrong has been said, EXIT_REFUSED: that it is no mapped device.
 */
int device_name_find(const char *given, char name[DM_NAME_BYTES]);

#endif
