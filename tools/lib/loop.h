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

#endif /* DMLIVE_LOOP_H */
