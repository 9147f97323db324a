/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_OUTPUT_H
#define DMLIVE_OUTPUT_H

/*
 * The file or block device that a new image is written into: see writer.h for
 * its names and what a crash leaves. Offsets and lengths are in bytes. Writing
 * may be done by any number of threads at once, the rest by one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file-stamp.h"
#include "image.h"

struct output;

/* Follows the name of a file until it is complete. */
#define OUTPUT_PARTIAL ".partial"

/*
 * @replace: a regular file that exists, and a PATH.partial that nobody works on
 * @is_source: is the file that is open as @fd one that the data come from? Such a
 *	PATH.partial stays. NULL: none is
 */
struct output_options {
	bool replace;
	bool (*is_source)(const void *source, int fd);
	const void *source;
};

/*
 * Open @path. A regular file is made as PATH.partial, which is always a new file;
 * where @path exists already it is -EEXIST unless @options->replace. A device is
 * opened exclusively.
 */
int output_open(const char *path, const struct output_options *options,
		struct output **output, struct image_error *err);

/* The image's name, for messages. */
const char *output_path(const struct output *output);
bool output_is_device(const struct output *output);

/* Size of a block device. */
uint64_t output_device_bytes(const struct output *output);

int output_write(struct output *output, uint64_t offset, const void *buffer,
		 size_t length, struct image_error *err);

/* Zero a range that has not been written; in a file it is zero already. */
int output_zero(struct output *output, uint64_t offset, uint64_t length,
		struct image_error *err);

/* Set the size of a regular file; nothing for a device. */
int output_resize(struct output *output, uint64_t size,
		  struct image_error *err);

/*
 * What the file will be, if nobody writes to it after output_publish(): all 0 if that
 * is not known. Its time of change is set by output_sync() from now on.
 */
void output_stamp(struct output *output, struct file_stamp *stamp);

/* Make durable what has been written. */
int output_sync(struct output *output, struct image_error *err);

/*
 * Give the file its name, durably, and close it. The output is gone then, even
 * on failure, where the file stays as PATH.partial: it is complete.
 */
int output_publish(struct output *output, struct image_error *err);

/* Remove the file, or close the device. */
void output_discard(struct output *output);

#endif /* DMLIVE_OUTPUT_H */
