/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_HOLDER_H
#define DMLIVE_HOLDER_H

/*
 * Who holds a block device, for messages: what lies on it, by its name, and the commands
 * that free it.
 */

#include <stddef.h>

/*
 * @holder: a block device as sysfs calls it, such as dm-1.
 * Return: @text: "the mapped device r, which ...; to free it: ...".
 */
const char *holder_describe(const char *holder, char *text, size_t text_bytes);

#endif /* DMLIVE_HOLDER_H */
