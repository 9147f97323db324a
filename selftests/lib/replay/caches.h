/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_CACHES_H
#define REPLAY_CACHES_H

/*
 * The volatile caches of the volume and of the metadata device: each has its own. A
 * write is durable after a flush of the same device. A crash may leave any part of the
 * writes that are not, whatever was flushed on the other device.
 *
 * The program has one image, to which all writes of the log are applied. For each
 * sector whose last write is not durable, its durable content is kept beside the image.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

struct kept_sector;

struct caches {
	const struct log *log;
	uint8_t *image;
	uint32_t *index;	/* for each sector of the image: index in kept, plus 1 */
	struct kept_sector *kept;
	size_t nr_kept, max_kept;
	size_t *pending;	/* entries of the log, in their order */
	size_t nr_pending, max_pending;
};

/* @apply: write an entry to the image; with @torn only some of its sectors. */
struct trial {
	void (*apply)(const struct log_entry *entry, bool torn);
	/* The image has changed at this sector. */
	void (*changed)(uint64_t sector);
	/* Check the image: a crash may have left it like this. */
	void (*check)(void);
};

void caches_open(struct caches *caches, const struct log *log, uint8_t *image,
		 uint64_t nr_sectors);

/* Before and after entry @i of the log, a write, is applied to the image. */
void caches_before(struct caches *caches, size_t i);
void caches_after(struct caches *caches, size_t i);

/* A flush of the device has ended. */
void caches_flush(struct caches *caches, enum log_device device);

/*
 * Check @nr_trials states that a crash may leave now, each with a part of the writes
 * that are not durable. The first has all writes to the volume and no other, the second
 * the reverse; the others have random ones, and in every second of them writes are
 * torn. Afterwards the image is as before.
 */
void caches_try(struct caches *caches, uint64_t nr_trials,
		const struct trial *trial);

#endif /* REPLAY_CACHES_H */
