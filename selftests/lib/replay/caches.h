/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_CACHES_H
#define REPLAY_CACHES_H

/*
 * The volatile caches of the volume and of the metadata device: each has its own. What
 * one of them was told to write is durable when a flush of that device has followed; a
 * crash leaves any part of the rest, whatever was flushed on the other device.
 *
 * The program has one image, in which everything is written that the log has. Beside it
 * is kept, for each sector whose last write is not durable, what is.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

struct kept_sector;

struct caches {
	const struct log *log;
	uint8_t *image;
	uint32_t *index;	/* in kept, of each sector of the image, plus one */
	struct kept_sector *kept;
	size_t nr_kept, max_kept;
	size_t *pending;	/* entries of the log, in their order */
	size_t nr_pending, max_pending;
};

/* @apply: writes an entry to the image, with @torn only some sectors of it. */
struct trial {
	void (*apply)(const struct log_entry *entry, bool torn);
	/* The image has changed at this sector. */
	void (*changed)(uint64_t sector);
	/* Look at the image: it is what a crash may have left. */
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
 * Check @nr_trials of the states that a crash may have left now: of what is not durable
 * some only. The first one has all writes to the volume and no other, the second one the
 * reverse; then it is left to chance, and in every other one writes are torn. The image
 * is as before afterwards.
 */
void caches_try(struct caches *caches, uint64_t nr_trials,
		const struct trial *trial);

#endif /* REPLAY_CACHES_H */
