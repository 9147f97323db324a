/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DEVICE_NAME_H
#define DEVICE_NAME_H

/*
 * How a command line names a device or a file: by a path, GROUP/VOLUME, or, for mapped
 * devices, a name.
 */
#include <stdbool.h>
#include <stddef.h>

#include "block/dm.h"

/*
 * Replace *@given, a path, by /dev/GROUP/VOLUME where it means that; a bare word and
 * NULL are left alone. A name that is both a file here and a logical volume is
 * refused, and so are URLs. @is_new: it may be a file that is to be made. Return: an
 * exit status, after a message. The new text stays for the life of the process.
 */
int device_argument(const char **given, bool is_new);

/*
 * The path that @given means: @given itself, or /dev/GROUP/VOLUME; "" for a bare word,
 * which is a name. Return: an exit status, as above.
 */
int device_name_path(const char *given, char *path, size_t path_bytes);

/*
 * The name of the mapped device that is meant, which is pinned (dm_pin()). A bare word
 * is taken for a name whether there is such a device or not. Return: an exit status,
 * after a message; EXIT_REFUSED: it is not a mapped device.
 */
int device_name_find(const char *given, char name[DM_NAME_BYTES]);

#endif
