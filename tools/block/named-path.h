/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_NAMED_PATH_H
#define DMLIVE_NAMED_PATH_H

/*
 * Names of images and of what they are based on: which ones an image may use, and how
 * they are recorded so that they mean the same later.
 */

#include <stdbool.h>

/*
 * Is the file @path where an image @owner may name it without permission: a regular
 * file in the folder of @owner, or, where @owner is a logical volume, one of the same
 * group? The file itself counts, not the links to it. Also true if there is none,
 * since opening it gives a better message.
 */
bool path_is_beside(const char *owner, const char *path);

/*
 * An absolute path that means the same file after a restart of the machine: of a block
 * device as blockdev_stable_path() has it; for a file the name as given, in the
 * canonical path of its folder, since the names that it contains are looked for there.
 * To be freed; NULL, with a message: there is no such file.
 */
char *path_make_stable(const char *path);

#endif /* DMLIVE_NAMED_PATH_H */
