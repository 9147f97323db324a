/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_WRITER_INTERNAL_H
#define DMLIVE_WRITER_INTERNAL_H

/* What writer.c and the writers of the two formats share. */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "output.h"
#include "writer.h"

/* writer.c has checked the ranges. */
struct writer_ops {
	int (*write)(struct writer *writer, uint64_t offset,
		     const char *buffer, size_t length,
		     struct image_error *err);
	int (*zero)(struct writer *writer, uint64_t offset, uint64_t length,
		    struct image_error *err);

	/* Write what is missing, the first cluster last, all durable. */
	int (*finish)(struct writer *writer, struct image_error *err);

	/* NULL: there are none in this format. */
	int (*set_extension)(struct writer *writer, uint32_t type,
			     const void *data, size_t length,
			     struct image_error *err);
	/* The same, also of the format's own. */
	int (*set_autoclear)(struct writer *writer, unsigned int bit,
			     const char *name, struct image_error *err);
	void (*destroy)(struct writer *writer);
};

struct writer {
	const struct writer_ops *ops;
	struct output *output;		/* writer.c closes it */
	uint64_t size_bytes;
	uint32_t cluster_bytes;
	unsigned int cluster_bits;

	pthread_mutex_t failure_lock;	/* protects failure_text */
	_Atomic int failure;		/* the first error */
	struct image_error failure_text;
};

/* Both start an image in @output. */
int qcow2_writer_create(const struct writer_options *options,
			struct output *output, struct writer **writer,
			struct image_error *err);
int raw_writer_create(const struct writer_options *options,
		      struct output *output, struct writer **writer,
		      struct image_error *err);

static inline bool is_zero(const char *buffer, size_t length)
{
	/* All equal to their neighbour, and the first one zero. */
	return !buffer[0] && !memcmp(buffer, buffer + 1, length - 1);
}

#endif /* DMLIVE_WRITER_INTERNAL_H */
