// SPDX-License-Identifier: GPL-2.0-only
/*
 * track-replay: goes through all states in which a crash could have left a volume
 * and the metadata device that tracks it. In none may there be a block that differs
 * from the volume's first content and is not set after recovery.
 *
 *	track-replay log=DEV image=FILE volume=SECTORS bitmap=NAME [trials=N]
 *		[samples=N] [seed=N]
 *
 * FILE is the volume as it was before the log began, followed by the metadata device.
 * The writes of the log are applied to it one by one; there is a state after each.
 * Before each flush there are "trials" more states, in which only a part of what is
 * not durable was written: volume and metadata device have a cache each, see caches.h.
 *
 * The mark "backup<generation>" in the log: a session begins here, with no I/O in
 * flight, and its backup has that generation. As long as the bitmap has this generation,
 * it must have all differences from the volume as it was at the mark. Otherwise it must
 * have all differences from the backup before.
 *
 * Recovery is done as in Documentation/bitmap-format.rst, with the checks of the kernel.
 * A bit may be set only after a write to its block or its region, so recovery adds no
 * more than the bits of the regions in use. Both the mark "closed" and the marks of
 * backups mean that all regions are closed: after them only regions that are written to
 * again may be open.
 *
 * "samples" states are checked against the kernel: print "sample N", and read the number
 * of bits that are set in a device that the test makes on FILE, and removes again. The
 * metadata must have these bits then. Its former content is put back.
 *
 * Exit status: 0, 1 if the promise is broken, 2 if something could not be done.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/replay/args.h"
#include "../../lib/replay/log.h"
#include "../../lib/replay/replay.h"
#include "../../lib/replay/store.h"
#include "../../../dm-live/qcow2/generations.h"
#include "../../../dm-live/qcow2/seal.h"

#define SECTOR_BYTES	512
#define MAX_BACKUPS	8
#define MAX_PARTS	32

static const char *log_path, *image_path, *bitmap_name;
static uint64_t volume_sectors, nr_trials = 4, nr_samples;

static struct log crash_log;
static uint8_t *image;
static uint64_t image_bytes, meta_bytes;

/* The bitmap: a byte for each bit. */
static unsigned int shift, region_shift;
static uint64_t nr_bits, nr_regions;
static uint8_t *on_disk, *recovered, *written;

/* For each part of the log, which begins with all regions closed: a byte per region. */
static uint8_t *written_region[MAX_PARTS];
static unsigned int part;

/* @base: the volume as it was; @differs: a byte for each bit */
static struct backup {
	uint64_t generation;
	uint8_t *base;
	uint8_t *differs;
} backups[MAX_BACKUPS];

static unsigned int nr_backups;
static uint64_t nr_seen[MAX_BACKUPS];

static uint64_t nr_states, nr_sampled, sample_interval, most_open, most_extra;

struct tracking {
	struct store store;
	const struct qcow2_store_bitmap *bitmap, *intent;
};

static const uint8_t *meta_at(const struct store *store, uint64_t offset, uint64_t bytes)
{
	const uint8_t *at = store_at(store, offset, bytes);

	if (!at)
		errx(2, "the metadata device is too small");
	return at;
}

static bool read_tracking(struct tracking *tracking)
{
	struct store *store = &tracking->store;

	if (!store_read(store, image + volume_sectors * SECTOR_BYTES, meta_bytes))
		return false;
	tracking->bitmap = store_find(store, bitmap_name);
	tracking->intent = store_find(store, QCOW2_DMLIVE_INTENT_NAME);
	if (!tracking->bitmap || !tracking->intent)
		errx(2, "a bitmap is missing");
	return true;
}

static bool bit_of(const struct store *store,
		   const struct qcow2_store_bitmap *bitmap, uint64_t bit)
{
	uint32_t bits = store->header.cluster_bits + 3;
	const __be64 *table = (const __be64 *)
		meta_at(store, bitmap->table_offset, bitmap->table_entries * 8ULL);
	uint64_t at = qcow2_bitmap_table_offset(be64_to_cpu(table[bit >> bits]));

	bit &= (1ULL << bits) - 1;
	return *meta_at(store, at + bit / 8, 1) & 1 << bit % 8;
}

/* The backup that the bitmap belongs to. */
static struct backup *backup_of(const struct tracking *tracking)
{
	const struct store *store = &tracking->store;
	uint64_t generation = 0;
	unsigned int i;

	if (store->header.generations_offset)
		generation = qcow2_generations_get(meta_at(store,
							   store->header.generations_offset,
							   QCOW2_DMLIVE_GENERATIONS_BYTES),
						   tracking->bitmap->name_hash);
	for (i = 0; i < nr_backups; i++) {
		if (backups[i].generation != generation)
			continue;
		nr_seen[i]++;
		return &backups[i];
	}
	violation("a generation that nobody has set");
	return &backups[0];
}

/* Compute the bits of a target after its activation. Returns the backup they belong to. */
static struct backup *recover(void)
{
	struct tracking tracking;
	const struct store *store = &tracking.store;
	uint64_t bit, region, open = 0, extra = 0;
	bool in_use, trusted;

	if (!read_tracking(&tracking)) {
		violation(store->error.message);
		return NULL;
	}
	in_use = tracking.bitmap->flags & QCOW2_BITMAP_IN_USE;
	trusted = tracking.intent->flags & QCOW2_BITMAP_IN_USE &&
		  store->header.state_flags & QCOW2_DMLIVE_TRACKING;
	for (bit = 0; bit < nr_bits; bit++) {
		on_disk[bit] = bit_of(store, tracking.bitmap, bit);
		recovered[bit] = on_disk[bit] || (in_use && !trusted);
	}
	for (region = 0; in_use && trusted && region < nr_regions; region++) {
		if (!bit_of(store, tracking.intent, region))
			continue;
		open++;
		if (!written_region[part][region])
			violation("a region is open that has not been written to since it was closed");
		for (bit = region << region_shift >> shift;
		     bit < nr_bits &&
		     bit << shift < (region + 1) << region_shift; bit++) {
			extra += !recovered[bit];
			recovered[bit] = 1;
		}
	}
	most_open = open > most_open ? open : most_open;
	most_extra = extra > most_extra ? extra : most_extra;
	return backup_of(&tracking);
}

static void check_state(void)
{
	const struct backup *backup;
	char text[80];
	uint64_t bit;

	nr_states++;
	backup = recover();
	if (!backup)
		return;
	for (bit = 0; bit < nr_bits; bit++) {
		if (backup->differs[bit] && !recovered[bit]) {
			snprintf(text, sizeof(text),
				 "block %" PRIu64 " differs from backup %" PRIu64 " and is not set",
				 bit, backup->generation);
			violation(text);
			return;
		}
		if (on_disk[bit] && !written[bit]) {
			snprintf(text, sizeof(text),
				 "block %" PRIu64 " is set and was never written to",
				 bit);
			violation(text);
			return;
		}
	}
}

static void look_at(uint64_t sector)
{
	uint64_t bit = sector * SECTOR_BYTES >> shift;
	uint64_t at = bit << shift, bytes = 1ULL << shift;
	unsigned int i;

	if (bytes > volume_sectors * SECTOR_BYTES - at)
		bytes = volume_sectors * SECTOR_BYTES - at;
	for (i = 0; i < nr_backups; i++)
		backups[i].differs[bit] =
			!!memcmp(image + at, backups[i].base + at, bytes);
}

static void add_backup(uint64_t generation)
{
	uint64_t bytes = volume_sectors * SECTOR_BYTES;
	struct backup *backup = &backups[nr_backups++];

	if (nr_backups > MAX_BACKUPS)
		errx(2, "too many backups");
	backup->generation = generation;
	backup->base = replay_allocate(bytes, 1);
	backup->differs = replay_allocate(nr_bits, 1);
	memcpy(backup->base, image, bytes);
}

/*
 * Are all regions closed here? @generation: the generation of the backup that begins
 * here; 0: none.
 */
static bool read_mark(const struct log_entry *entry, uint64_t *generation)
{
	char text[LOG_TEXT_BYTES];

	*generation = 0;
	if (!log_read_mark(&crash_log, entry, text))
		return false;
	if (!strncmp(text, "backup", 6))
		*generation = strtoull(text + 6, NULL, 10);
	return *generation || !strcmp(text, "closed");
}

static void apply_mark(const struct log_entry *entry)
{
	uint64_t generation;

	if (!read_mark(entry, &generation))
		return;
	part++;
	if (generation)
		add_backup(generation);
}

static void changed(uint64_t sector)
{
	if (sector < volume_sectors)
		look_at(sector);
}

static void write_sector(const struct log_entry *entry, uint64_t sector, const void *data)
{
	static const uint8_t zeros[SECTOR_BYTES];

	(void)entry;
	memcpy(image + sector * SECTOR_BYTES, data ? data : zeros, SECTOR_BYTES);
	changed(sector);
}

/*
 * Will the kernel find that changes were not tracked? The device of the sample is not the
 * one over which the store was closed, so it will if the seal counts. It counts if the
 * store is closed. It also counts if the store was being opened, since the same modules
 * sealed it, as after a failed resume; see qcow2/seal.h. Then the kernel sets all bits, so
 * only check_state() notices missing ones.
 */
static bool has_gap(void)
{
	const uint32_t both = QCOW2_BITMAP_AUTO | QCOW2_BITMAP_IN_USE;
	struct qcow2_seal seal;
	struct tracking tracking;
	struct store *store = &tracking.store;
	uint32_t i;

	if (!read_tracking(&tracking) || !store->header.seal_offset ||
	    !(store->header.state_flags & QCOW2_DMLIVE_USED))
		return false;
	if (qcow2_seal_decode(meta_at(store, store->header.seal_offset,
				      QCOW2_DMLIVE_SEAL_BYTES),
			      &seal, &store->error) ||
	    seal.flags & QCOW2_DMLIVE_SEAL_SEALED)
		return true;
	for (i = 0; i < store->header.nr_bitmaps; i++)
		if ((store->bitmaps[i].flags & both) == both)
			return false;
	return true;
}

/* Compare with a device that the kernel makes of this state. */
static void sample(void)
{
	uint8_t *meta = image + volume_sectors * SECTOR_BYTES;
	uint8_t *before = replay_allocate(meta_bytes, 1), *computed = replay_allocate(nr_bits, 1);
	uint64_t bit, nr = 0;
	struct tracking tracking;
	char line[256];

	memcpy(before, meta, meta_bytes);
	memcpy(computed, recovered, nr_bits);
	if (has_gap())
		memset(computed, 1, nr_bits);
	for (bit = 0; bit < nr_bits; bit++)
		nr += computed[bit];
	printf("sample %" PRIu64 "\n", ++nr_sampled);
	replay_read_answer(line, sizeof(line));
	if (strtoull(line, NULL, 10) != nr) {
		printf("the kernel has %s bits, not %" PRIu64 "\n", line, nr);
		violation("the kernel does not find what was computed");
	}
	if (!recover() || memcmp(on_disk, computed, nr_bits))
		violation("the kernel has not made durable what was computed");
	if (read_tracking(&tracking) && tracking.bitmap->flags & QCOW2_BITMAP_IN_USE)
		violation("the bitmap is in use after the removal");
	memcpy(meta, before, meta_bytes);
	free(before);
	free(computed);
}

static void sample_some(size_t i)
{
	if (sample_interval && i % sample_interval == 0)
		sample();
}

static void replay(void)
{
	const struct replay program = {
		.log = &crash_log,
		.image = image,
		.nr_sectors = image_bytes / SECTOR_BYTES,
		.nr_trials = nr_trials,
		.write = write_sector,
		.changed = changed,
		.mark = apply_mark,
		.check = check_state,
		.written = sample_some,
	};

	replay_log(&program);
}

/* Find out what the log writes to, as a whole and in each part. */
static void prepare(void)
{
	uint64_t s, generation;
	unsigned int in = 0;
	size_t i;

	for (i = 0; i < crash_log.nr_entries; i++) {
		const struct log_entry *entry = &crash_log.entries[i];

		if (read_mark(entry, &generation)) {
			in++;
			if (in == MAX_PARTS)
				errx(2, "too many marks");
			continue;
		}
		for (s = entry->sector; s < entry->sector + entry->nr_sectors &&
		     s < volume_sectors; s++) {
			written[s * SECTOR_BYTES >> shift] = 1;
			written_region[in][s * SECTOR_BYTES >> region_shift] = 1;
		}
	}
	if (nr_samples)
		sample_interval = crash_log.nr_entries / nr_samples + 1;
}

static void open_image(void)
{
	uint64_t volume_bytes = volume_sectors * SECTOR_BYTES;
	struct tracking tracking;
	unsigned int i;

	image = replay_map_image(image_path, &image_bytes);
	meta_bytes = image_bytes - volume_bytes;
	log_set_parts(&crash_log, volume_sectors, meta_bytes / SECTOR_BYTES);
	if (!read_tracking(&tracking))
		errx(2, "%s: %s", image_path, tracking.store.error.message);
	shift = tracking.bitmap->granularity_bits;
	region_shift = tracking.intent->granularity_bits;
	nr_bits = ((volume_bytes - 1) >> shift) + 1;
	nr_regions = ((volume_bytes - 1) >> region_shift) + 1;
	on_disk = replay_allocate(nr_bits, 1);
	recovered = replay_allocate(nr_bits, 1);
	written = replay_allocate(nr_bits, 1);
	for (i = 0; i < MAX_PARTS; i++)
		written_region[i] = replay_allocate(nr_regions, 1);
	add_backup(0);
}

static void report(void)
{
	unsigned int i;

	for (i = 0; i < nr_backups; i++)
		printf("states with generation %" PRIu64 ": %" PRIu64 "\n",
		       backups[i].generation, nr_seen[i]);
	printf("done: entries %zu, states %" PRIu64 ", samples %" PRIu64
	       ", regions open at most %" PRIu64 " of %" PRIu64
	       ", bits added at most %" PRIu64 ", violations %u\n",
	       crash_log.nr_entries, nr_states, nr_sampled, most_open,
	       nr_regions, most_extra, nr_violations);
}

int main(int argc, char **argv)
{
	const struct arg args[] = {
		{ "log", .text = &log_path },
		{ "image", .text = &image_path },
		{ "bitmap", .text = &bitmap_name },
		{ "volume", .number = &volume_sectors },
		{ "trials", .number = &nr_trials },
		{ "samples", .number = &nr_samples },
		{ "seed", .number = &random_state },
	};

	(void)argc;
	args_parse(args, sizeof(args) / sizeof(*args), argv);
	if (!log_path || !image_path || !bitmap_name || !volume_sectors ||
	    !random_state)
		errx(2, "arguments are missing; the program's first comment has them");
	log_open(&crash_log, log_path);
	open_image();
	prepare();
	replay();
	report();
	return nr_violations ? 1 : 0;
}
