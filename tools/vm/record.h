/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_VM_RECORD_H
#define DMLIVE_VM_RECORD_H

/*
 * The record of a virtual machine's backup, a JSON file beside the images and the XML: which
 * files belong together. It is written last, so that what it names is complete.
 */

#include "base/json.h"

#define RECORD_FORMAT "dmlive-vm-backup"

/*
 * What files of the domain @name are called: what could be misread in a path or by a shell
 * becomes "_". To be freed.
 */
char *record_name(const char *name);

/*
 * Write text to a file with the mode 0600, durably. @is_new: it may not be there. Return: an
 * exit status, after a message.
 */
int record_write(const char *path, const char *text, bool is_new);

/*
 * Find the record that @given means: it, or the newest one in this folder. @path: its path,
 * PATH_MAX bytes. Returns an object to be put, or NULL after a message.
 */
struct json_object *record_find(const char *given, char *path);

#endif /* DMLIVE_VM_RECORD_H */
