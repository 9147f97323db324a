/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_LOOP_H
#define DMLIVE_LOOP_H

/* Loop devices. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/*
 * Is the file that @stat describes attached to a loop device, as far as this process
 * can see? @node is set to the device's, "/dev/loop0".
 */
bool loop_find(const struct stat *stat, char *node, size_t node_bytes);

/*
 * May the regular file @path, which @stat describes, be changed or replaced? Not under
 * a loop device: the device's cache would differ from a changed file, and it would go
 * on writing to the old one of a replaced file, which has no name any more. 0 or
 * -EBUSY, with a message.
 */
int loop_check_unused(const char *path, const struct stat *stat);

#endif /* DMLIVE_LOOP_H */
