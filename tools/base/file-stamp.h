/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_FILE_STAMP_H
#define DMLIVE_FILE_STAMP_H

/*
 * Shows whether a file is still the one that was made, and unchanged: not all writers
 * clear the autoclear bits of an image, see Documentation/bitmap-format.rst. A copy has
 * another inode or time of birth, and nothing is known about it.
 */

#include <stdint.h>
#include <time.h>

struct file_stamp {
	uint64_t inode;		/* 0: unknown */
	uint64_t birth_ns;	/* since 1970 */
	uint64_t mtime_s;
	uint64_t mtime_ns;	/* beyond these seconds */
};

/* 0 or a negative errno, -ENOTSUP: the file system keeps no time of birth. */
int file_stamp_get(const char *path, struct file_stamp *stamp);
int file_stamp_get_fd(int fd, struct file_stamp *stamp);

/*
 * A time of change for a file that is being written, in the past, and such that every
 * file system can keep it exactly: the coarsest have units of two seconds.
 */
struct timespec file_stamp_new_mtime(void);

#endif /* DMLIVE_FILE_STAMP_H */
