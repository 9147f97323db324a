/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_HOST_FILE_H
#define DMLIVE_HOST_FILE_H

/*
 * A regular file or block device that holds an image or a part of one, opened
 * for reading. All functions but open and close may be called from any number
 * of threads at once. Offsets and lengths are in bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"

struct host_file;

/* Open @path; anything but a regular file or a block device is refused. */
int host_file_open(const char *path, struct host_file **file,
		   struct image_error *err);

/* The same for an open descriptor, which the file then owns. */
int host_file_open_fd(int fd, const char *path, struct host_file **file,
		      struct image_error *err);
void host_file_close(struct host_file *file);

const char *host_file_path(const struct host_file *file);
int host_file_fd(const struct host_file *file);

/* Size at the time of opening. */
uint64_t host_file_size(const struct host_file *file);

/* Bytes really in use on the medium; 0 if unknown (block device). */
uint64_t host_file_allocated(const struct host_file *file);

/* Whether both are the same file, or nodes of the same block device. */
bool host_file_same(const struct host_file *a, const struct host_file *b);
bool host_file_same_fd(const struct host_file *file, int fd);

/*
 * Say in QEMU's way, by locks on bytes of the file, that it is being read and
 * must not be written; fails with -EBUSY if somebody is writing it. The locks
 * go with the file; a file system without such locks is taken as it is.
 */
int host_file_lock(const struct host_file *file, struct image_error *err);

/*
 * Read @length bytes at @offset. What lies beyond the end reads as zeros, as it
 * does in QEMU; callers that must not go there check before.
 */
int host_file_read(const struct host_file *file, uint64_t offset, void *buffer,
		   size_t length, struct image_error *err);

/*
 * Length of the run of data (*data true) or of hole that starts at @offset, at
 * most @length; never 0. Where holes cannot be found, all is data.
 */
uint64_t host_file_run(const struct host_file *file, uint64_t offset,
		       uint64_t length, bool *data);

#endif /* DMLIVE_HOST_FILE_H */
