/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_LOOP_H
#define DMLIVE_LOOP_H

/* Loop devices. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/*
 * Is the file that @stat tells of attached to a loop device, as far as this
 * process can see? @node is set to the device's, "/dev/loop0".
 */
bool loop_find(const struct stat *stat, char *node, size_t node_bytes);

/*
 * May the regular file @path, that @stat tells of, be changed or replaced? Under a
 * loop device it may not: what the device has cached differs from it then, and of a
 * file that is replaced it goes on writing to the old one, which has no name any more.
 * 0 or -EBUSY, with a message.
 */
int loop_check_unused(const char *path, const struct stat *stat);

#endif /* DMLIVE_LOOP_H */
