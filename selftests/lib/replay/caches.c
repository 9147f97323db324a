// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a crash may leave of two devices with a volatile cache each, see caches.h.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caches.h"
#include "replay.h"

struct kept_sector {
	uint64_t sector;
	enum log_device device;
	uint8_t durable[LOG_SECTOR_BYTES];
	uint8_t latest[LOG_SECTOR_BYTES];
};

static void *resize(void *memory, size_t nr, size_t bytes)
{
	memory = reallocarray(memory, nr, bytes);
	if (!memory)
		errx(2, "out of memory");
	return memory;
}

void caches_open(struct caches *caches, const struct log *log, uint8_t *image,
		 uint64_t nr_sectors)
{
	*caches = (struct caches) { .log = log, .image = image };
	caches->index = calloc(nr_sectors, sizeof(*caches->index));
	if (!caches->index)
		errx(2, "out of memory");
}

static uint8_t *at(const struct caches *caches, uint64_t sector)
{
	return caches->image + sector * LOG_SECTOR_BYTES;
}

static void keep(struct caches *caches, uint64_t sector, enum log_device device)
{
	struct kept_sector *kept;

	if (caches->index[sector])
		return;
	if (caches->nr_kept == caches->max_kept) {
		caches->max_kept = caches->max_kept * 2 + 1024;
		caches->kept = resize(caches->kept, caches->max_kept,
				      sizeof(*caches->kept));
	}
	kept = &caches->kept[caches->nr_kept++];
	kept->sector = sector;
	kept->device = device;
	memcpy(kept->durable, at(caches, sector), LOG_SECTOR_BYTES);
	caches->index[sector] = caches->nr_kept;
}

void caches_before(struct caches *caches, size_t i)
{
	const struct log_entry *entry = &caches->log->entries[i];
	uint64_t s;

	if (!log_is_cached_write(entry))
		return;
	for (s = entry->sector; s < entry->sector + entry->nr_sectors; s++)
		keep(caches, s, log_device(caches->log, entry));
	if (caches->nr_pending == caches->max_pending) {
		caches->max_pending = caches->max_pending * 2 + 64;
		caches->pending = resize(caches->pending, caches->max_pending,
					 sizeof(*caches->pending));
	}
	caches->pending[caches->nr_pending++] = i;
}

void caches_after(struct caches *caches, size_t i)
{
	const struct log_entry *entry = &caches->log->entries[i];
	uint64_t s;

	if (log_is_cached_write(entry))
		return;
	/* With FUA: durable at once, also if older data of the sectors is in the cache. */
	for (s = entry->sector; s < entry->sector + entry->nr_sectors; s++)
		if (caches->index[s])
			memcpy(caches->kept[caches->index[s] - 1].durable,
			       at(caches, s), LOG_SECTOR_BYTES);
}

void caches_flush(struct caches *caches, enum log_device device)
{
	size_t i, nr = 0;

	for (i = 0; i < caches->nr_kept; i++) {
		struct kept_sector *kept = &caches->kept[i];

		caches->index[kept->sector] = 0;
		if (kept->device == device)
			continue;
		caches->kept[nr++] = *kept;
		caches->index[caches->kept[nr - 1].sector] = nr;
	}
	caches->nr_kept = nr;
	for (i = nr = 0; i < caches->nr_pending; i++)
		if (log_device(caches->log,
			       &caches->log->entries[caches->pending[i]]) != device)
			caches->pending[nr++] = caches->pending[i];
	caches->nr_pending = nr;
}

static bool is_chosen(uint64_t trial, enum log_device device)
{
	if (trial == 0)
		return device == LOG_VOLUME;
	if (trial == 1)
		return device != LOG_VOLUME;
	return random_below(2);
}

static void restore(struct caches *caches, bool durable,
		    void (*changed)(uint64_t sector))
{
	size_t i;

	for (i = 0; i < caches->nr_kept; i++) {
		struct kept_sector *kept = &caches->kept[i];

		if (durable)
			memcpy(kept->latest, at(caches, kept->sector),
			       LOG_SECTOR_BYTES);
		memcpy(at(caches, kept->sector),
		       durable ? kept->durable : kept->latest,
		       LOG_SECTOR_BYTES);
		changed(kept->sector);
	}
}

void caches_try(struct caches *caches, uint64_t nr_trials,
		const struct trial *trial)
{
	const struct log_entry *entry;
	uint64_t n;
	size_t i;

	for (n = 0; caches->nr_pending && n < nr_trials; n++) {
		snprintf(state_name, sizeof(state_name),
			 "of the entries %zu to %zu some that are not durable, trial %llu",
			 caches->pending[0],
			 caches->pending[caches->nr_pending - 1],
			 (unsigned long long)n);
		restore(caches, true, trial->changed);
		for (i = 0; i < caches->nr_pending; i++) {
			entry = &caches->log->entries[caches->pending[i]];
			if (is_chosen(n, log_device(caches->log, entry)))
				trial->apply(entry, n > 2 && n % 2);
		}
		trial->check();
		restore(caches, false, trial->changed);
	}
}
