/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_DURABLE_FILE_H
#define DMLIVE_DURABLE_FILE_H

/*
 * Small files that a power cut leaves as they were or as they are to be. 0 or a negative
 * errno, after a message.
 */

#include <stdio.h>

/* That it is there is no error: who has made it may have been killed before it lasted. */
int durable_folder_make(const char *path);

/*
 * Write the file, in a folder that is there, with what @print prints. It is first written
 * under a name that begins with a dot.
 */
int durable_file_write(const char *path,
		       void (*print)(FILE *file, const void *context),
		       const void *context);

/* That it is not there is no error. */
int durable_file_remove(const char *path);

#endif /* DMLIVE_DURABLE_FILE_H */
