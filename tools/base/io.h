/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IO_H
#define DMLIVE_IO_H

/*
 * Reading and writing all of something at once. 0 or a negative errno, with a
 * message printed that names @path.
 */

#include <stddef.h>
#include <stdint.h>

/* An end of file before all is read is an error, -EINVAL. */
int io_read(int fd, const char *path, uint64_t offset, void *to, size_t bytes);
int io_write(int fd, const char *path, uint64_t offset, const void *from,
	     size_t bytes);
int io_sync(int fd, const char *path);

/*
 * All of the regular file @fd, ended by a zero; to be freed. NULL, without a message, and
 * errno: EFBIG if it has more than @max_bytes or is something else.
 */
char *io_read_text(int fd, size_t max_bytes);

#endif /* DMLIVE_IO_H */
