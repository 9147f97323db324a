// SPDX-License-Identifier: GPL-2.0-only
/*
 * track-replay: goes through all states in which a crash could have left a volume
 * and the metadata device that tracks it, and looks in each for a block that differs
 * from what the volume was at first, and that recovery would not know of.
 *
 *	track-replay log=DEV image=FILE volume=SECTORS bitmap=NAME [trials=N]
 *		[samples=N] [seed=N]
 *
 * FILE is the volume as it was before the log began, then the metadata device. Every
 * write of the log is applied to it; after each one is a state. Before each flush there
 * are "trials" more, in which some only of what is not durable was written: volume and
 * metadata device have a cache each, see caches.h.
 *
 * The mark "backup<generation>" in the log says that now, where nothing is under way, a
 * session begins whose backup has that generation: while the bitmap has that, it must
 * know what differs from the volume as it is now. Else it must know what differs from
 * the backup before.
 *
 * Recovery is that of Documentation/bitmap-format.rst, over the checks that the kernel
 * makes. No bit may be set without a write to its block, or to its region: so not more
 * is added than the regions have that were in use. The mark "closed" says, as the others
 * do, that all regions are closed now: of those that were written to before, only such
 * as are written to once more may be open from then on.
 *
 * In "samples" of the states the kernel is asked: "sample N" is printed, and a line is
 * read with the number of bits that a device made on FILE has set; it is removed then.
 * The metadata must hold these bits now, and are put back.
 *
 * Exit status: 0, 1 if the promise is broken, 2 if something could not be done.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/replay/args.h"
#include "../../lib/replay/caches.h"
#include "../../lib/replay/log.h"
#include "../../lib/replay/replay.h"
#include "../../../dm-live/qcow2/generations.h"
#include "../../../dm-live/qcow2/seal.h"

#define SECTOR_BYTES	512
#define MAX_BITMAPS	16
#define MAX_BACKUPS	8
#define MAX_PARTS	32

static const char *log_path, *image_path, *bitmap_name;
static uint64_t volume_sectors, nr_trials = 4, nr_samples;

static struct log crash_log;
static uint8_t *image, *entry_data;
static uint64_t image_bytes, meta_bytes;
static struct caches caches;

/* Of the bitmap: a byte for each bit. */
static unsigned int shift, region_shift;
static uint64_t nr_bits, nr_regions;
static uint8_t *on_disk, *recovered, *written;

/* In each part of the log that begins where all regions are closed: a byte for each. */
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

struct store {
	struct qcow2_store_header header;
	struct qcow2_store_bitmap bitmaps[MAX_BITMAPS];
	const struct qcow2_store_bitmap *bitmap, *intent;
	struct qcow2_store_error error;
};

static void *allocate(size_t bytes)
{
	void *memory = calloc(1, bytes + 1);

	if (!memory)
		errx(2, "out of memory");
	return memory;
}

static const uint8_t *meta_at(uint64_t offset, uint64_t bytes)
{
	if (offset > meta_bytes || bytes > meta_bytes - offset)
		errx(2, "the metadata device is too small");
	return image + volume_sectors * SECTOR_BYTES + offset;
}

static bool read_store(struct store *store)
{
	const struct qcow2_store_header *header = &store->header;
	uint32_t i;

	memset(store, 0, sizeof(*store));
	if (qcow2_store_check_header(meta_at(0, meta_bytes), meta_bytes,
				     meta_bytes, &store->header,
				     &store->error))
		return false;
	if (!header->bitmaps_valid || header->nr_bitmaps > MAX_BITMAPS) {
		snprintf(store->error.message, sizeof(store->error.message),
			 "the bitmaps do not count as consistent");
		return false;
	}
	if (qcow2_store_check_directory(header,
					meta_at(header->directory_offset,
						header->directory_bytes),
					store->bitmaps, &store->error))
		return false;
	for (i = 0; i < header->nr_bitmaps; i++) {
		if (qcow2_store_name_is(&store->bitmaps[i], bitmap_name))
			store->bitmap = &store->bitmaps[i];
		if (qcow2_store_name_is(&store->bitmaps[i],
					QCOW2_DMLIVE_INTENT_NAME))
			store->intent = &store->bitmaps[i];
	}
	if (!store->bitmap || !store->intent)
		errx(2, "a bitmap is missing");
	return true;
}

static bool bit_of(const struct store *store,
		   const struct qcow2_store_bitmap *bitmap, uint64_t bit)
{
	uint32_t bits = store->header.cluster_bits + 3;
	const __be64 *table = (const __be64 *)
		meta_at(bitmap->table_offset, bitmap->table_entries * 8ULL);
	uint64_t at = qcow2_store_table_cluster(table[bit >> bits]);

	bit &= (1ULL << bits) - 1;
	return *meta_at(at + bit / 8, 1) & 1 << bit % 8;
}

/* The backup that the bitmap goes with. */
static struct backup *backup_of(const struct store *store)
{
	uint64_t generation = 0;
	unsigned int i;

	if (store->header.generations_offset)
		generation = qcow2_generations_get(meta_at(store->header.generations_offset,
							   QCOW2_DMLIVE_GENERATIONS_BYTES),
						   store->bitmap->name_hash);
	for (i = 0; i < nr_backups; i++) {
		if (backups[i].generation != generation)
			continue;
		nr_seen[i]++;
		return &backups[i];
	}
	violation("a generation that nobody has set");
	return &backups[0];
}

/* What a target would have after its activation. Returns what that is about. */
static struct backup *recover(void)
{
	struct store store;
	uint64_t bit, region, open = 0, extra = 0;
	bool in_use, trusted;

	if (!read_store(&store)) {
		violation(store.error.message);
		return NULL;
	}
	in_use = store.bitmap->flags & QCOW2_BITMAP_IN_USE;
	trusted = store.intent->flags & QCOW2_BITMAP_IN_USE &&
		  store.header.state_flags & QCOW2_DMLIVE_TRACKING;
	for (bit = 0; bit < nr_bits; bit++) {
		on_disk[bit] = bit_of(&store, store.bitmap, bit);
		recovered[bit] = on_disk[bit] || (in_use && !trusted);
	}
	for (region = 0; in_use && trusted && region < nr_regions; region++) {
		if (!bit_of(&store, store.intent, region))
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
	return backup_of(&store);
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
	backup->base = allocate(bytes);
	backup->differs = allocate(nr_bits);
	memcpy(backup->base, image, bytes);
}

/*
 * Are all regions closed here? @generation: of the backup that begins here; 0: none.
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

static void put_sector(uint64_t sector, const void *data)
{
	static const uint8_t zeros[SECTOR_BYTES];

	if (sector >= image_bytes / SECTOR_BYTES)
		errx(2, "the log has a write beyond the device");
	memcpy(image + sector * SECTOR_BYTES, data ? data : zeros,
	       SECTOR_BYTES);
}

static void changed(uint64_t sector)
{
	if (sector < volume_sectors)
		look_at(sector);
}

static void apply(const struct log_entry *entry, bool torn)
{
	uint64_t i;

	log_read(&crash_log, entry, entry_data);
	for (i = 0; i < entry->nr_sectors; i++)
		if (!torn || random_below(2))
			put_sector(entry->sector + i,
				   entry->flags & LOG_DISCARD ? NULL :
				   entry_data + i * SECTOR_BYTES);
	for (i = 0; i < entry->nr_sectors; i++)
		changed(entry->sector + i);
}

/*
 * Will the kernel find that changes were not tracked? The device of the sample is not the
 * one over which the store was closed, so it will if the seal counts: if the store is
 * closed; or if it was being opened, since the modules are those that sealed it, as they
 * are after a resume that failed. (qcow2/seal.h; so bits that are missing in such a state
 * are noticed in check_state() only.)
 */
static bool has_gap(void)
{
	const uint32_t both = QCOW2_BITMAP_AUTO | QCOW2_BITMAP_IN_USE;
	struct qcow2_seal seal;
	struct store store;
	uint32_t i;

	if (!read_store(&store) || !store.header.seal_offset ||
	    !(store.header.state_flags & QCOW2_DMLIVE_USED))
		return false;
	if (qcow2_seal_decode(meta_at(store.header.seal_offset,
				      QCOW2_DMLIVE_SEAL_BYTES),
			      &seal, &store.error) ||
	    seal.flags & QCOW2_DMLIVE_SEAL_SEALED)
		return true;
	for (i = 0; i < store.header.nr_bitmaps; i++)
		if ((store.bitmaps[i].flags & both) == both)
			return false;
	return true;
}

/* The kernel makes a device of this state. */
static void sample(void)
{
	uint8_t *meta = image + volume_sectors * SECTOR_BYTES;
	uint8_t *before = allocate(meta_bytes), *computed = allocate(nr_bits);
	uint64_t bit, nr = 0;
	struct store store;
	char line[256];

	memcpy(before, meta, meta_bytes);
	memcpy(computed, recovered, nr_bits);
	if (has_gap())
		memset(computed, 1, nr_bits);
	for (bit = 0; bit < nr_bits; bit++)
		nr += computed[bit];
	printf("sample %" PRIu64 "\n", ++nr_sampled);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		errx(2, "no answer to a sample");
	if (strtoull(line, NULL, 10) != nr) {
		printf("the kernel has %.*s bits, not %" PRIu64 "\n",
		       (int)strcspn(line, "\n"), line, nr);
		violation("the kernel does not find what was computed");
	}
	if (!recover() || memcmp(on_disk, computed, nr_bits))
		violation("the kernel has not made durable what was computed");
	if (read_store(&store) && store.bitmap->flags & QCOW2_BITMAP_IN_USE)
		violation("the bitmap is in use after the removal");
	memcpy(meta, before, meta_bytes);
	free(before);
	free(computed);
}

static void replay_write(size_t i)
{
	const struct log_entry *entry = &crash_log.entries[i];

	caches_before(&caches, i);
	apply(entry, false);
	caches_after(&caches, i);
	snprintf(state_name, sizeof(state_name), "entry %zu", i);
	check_state();
	if (sample_interval && i % sample_interval == 0)
		sample();
}

static void replay(void)
{
	const struct trial trial = {
		.apply = apply,
		.changed = changed,
		.check = check_state,
	};
	enum log_device device;
	size_t i;

	for (i = 0; i < crash_log.nr_entries; i++) {
		const struct log_entry *entry = &crash_log.entries[i];

		if (log_is_flush(&crash_log, entry, &device)) {
			caches_try(&caches, nr_trials, &trial);
			caches_flush(&caches, device);
		} else if (log_device(&crash_log, entry) == LOG_MARKS) {
			apply_mark(entry);
		} else if (entry->nr_sectors && !(entry->flags & LOG_MARK)) {
			replay_write(i);
		}
	}
}

/* What the log writes to at all, and in each part; and room for its largest entry. */
static void prepare(void)
{
	uint64_t max = 0, s, generation;
	unsigned int in = 0;
	size_t i;

	for (i = 0; i < crash_log.nr_entries; i++) {
		const struct log_entry *entry = &crash_log.entries[i];

		if (entry->data_bytes > max)
			max = entry->data_bytes;
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
	entry_data = allocate(max);
	if (nr_samples)
		sample_interval = crash_log.nr_entries / nr_samples + 1;
}

static void open_image(void)
{
	int fd = open(image_path, O_RDWR | O_CLOEXEC);
	uint64_t volume_bytes = volume_sectors * SECTOR_BYTES;
	struct store store;
	struct stat status;
	unsigned int i;

	if (fd < 0 || fstat(fd, &status))
		err(2, "%s", image_path);
	image_bytes = status.st_size;
	meta_bytes = image_bytes - volume_bytes;
	image = mmap(NULL, image_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     0);
	if (image == MAP_FAILED)
		err(2, "%s", image_path);
	log_set_parts(&crash_log, volume_sectors, meta_bytes / SECTOR_BYTES);
	caches_open(&caches, &crash_log, image, image_bytes / SECTOR_BYTES);
	if (!read_store(&store))
		errx(2, "%s: %s", image_path, store.error.message);
	shift = store.bitmap->granularity_bits;
	region_shift = store.intent->granularity_bits;
	nr_bits = ((volume_bytes - 1) >> shift) + 1;
	nr_regions = ((volume_bytes - 1) >> region_shift) + 1;
	on_disk = allocate(nr_bits);
	recovered = allocate(nr_bits);
	written = allocate(nr_bits);
	for (i = 0; i < MAX_PARTS; i++)
		written_region[i] = allocate(nr_regions);
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
