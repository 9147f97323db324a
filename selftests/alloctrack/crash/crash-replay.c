// SPDX-License-Identifier: GPL-2.0-only
/*
 * crash-replay: goes through all states in which a crash could have left a
 * volume and its metadata device, and checks the promise (promise.h) in each.
 *
 *	crash-replay log=DEV image=FILE backing=DEV journal=FILE volume=SECTORS
 *		block=SECTORS [fua-window=SECTOR:SECTORS] [trials=N] [samples=N]
 *		[seed=N]
 *
 * FILE is the volume as it was before the log began, followed by the metadata device.
 * The writes of the log are applied to it one by one; there is a state after each.
 * Before each flush there are "trials" more states, in which only a part of what is
 * not durable was written: volume and metadata device have a cache each, see caches.h.
 *
 * What the device would show in a state is computed. Only sectors that may have
 * changed are checked, and now and then all sectors.
 *
 * "samples" states are checked against the kernel: print "sample N", read the path of
 * a device that the test makes on FILE, and compare all of it (prints "same" or
 * "differs: ..."). Then read a line that says that the device was removed. Meanwhile
 * only the metadata may have changed: the bits in it must be the same, and the former
 * metadata is put back.
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
#include <unistd.h>

#include "../../lib/replay/args.h"
#include "../../lib/replay/log.h"
#include "../../lib/replay/replay.h"
#include "media.h"
#include "promise.h"

#define SECTOR_BYTES	512
#define FULL_CHECK_STATES 2000
#define READ_BYTES	(1 << 20)

static const char *log_path, *image_path, *backing_path, *journal_path;
static uint64_t volume_sectors, block_sectors, fua_window[2];
static uint64_t nr_trials = 4, nr_samples;

static struct log crash_log;
static struct media media;
static struct promise promise;
static const uint8_t *backing;
static uint64_t backing_sectors;

/* Sectors to be checked in the present state. */
static uint64_t *touched, nr_touched;
static bool *is_touched;

static uint64_t nr_states, sample_interval, nr_marks, nr_checked, nr_sampled;

static void touch(void *context, uint64_t sector)
{
	(void)context;
	if (is_touched[sector])
		return;
	is_touched[sector] = true;
	touched[nr_touched++] = sector;
}

static void touch_block(void *context, uint64_t block)
{
	uint64_t s;

	for (s = block * block_sectors;
	     s < (block + 1) * block_sectors && s < volume_sectors; s++)
		touch(context, s);
}

static const uint8_t *backing_at(uint64_t sector)
{
	static const uint8_t zeros[SECTOR_BYTES];

	return sector < backing_sectors ? backing + sector * SECTOR_BYTES :
					  zeros;
}

/* What the device would return for a read. */
static const uint8_t *shown_at(uint64_t sector)
{
	if (media_is_allocated(&media, sector / block_sectors))
		return media.data + sector * SECTOR_BYTES;
	return backing_at(sector);
}

static void check_touched(void)
{
	char text[PROMISE_TEXT_BYTES];
	uint64_t i;

	for (i = 0; i < nr_touched; i++) {
		is_touched[touched[i]] = false;
		if (!promise_allows(&promise, touched[i], shown_at(touched[i]),
				    backing_at(touched[i]), text))
			violation(text);
	}
	nr_checked += nr_touched;
	nr_touched = 0;
}

static bool compare_device(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	uint64_t sector, i;
	bool same = true;
	uint8_t *data;

	if (fd < 0 || posix_memalign((void **)&data, 4096, READ_BYTES))
		err(2, "%s", path);
	for (sector = 0; same && sector < volume_sectors;) {
		ssize_t bytes = pread(fd, data, READ_BYTES,
				      sector * SECTOR_BYTES);

		if (bytes <= 0)
			err(2, "%s: read at sector %" PRIu64, path, sector);
		for (i = 0; same && i < (size_t)bytes / SECTOR_BYTES; i++)
			same = !memcmp(data + i * SECTOR_BYTES,
				       shown_at(sector + i), SECTOR_BYTES);
		sector += i;
	}
	if (same)
		printf("same\n");
	else
		printf("differs: at sector %" PRIu64 "\n", sector - 1);
	free(data);
	close(fd);
	return same;
}

static void note_change(void *context, uint64_t block)
{
	(void)block;
	*(bool *)context = true;
}

static void sample(void)
{
	uint64_t meta_bytes = media.bytes - volume_sectors * SECTOR_BYTES;
	uint8_t *meta = media.data + volume_sectors * SECTOR_BYTES;
	uint8_t *before = replay_allocate(meta_bytes, 1);
	char line[4096], text[MEDIA_TEXT_BYTES];
	bool bits_changed = false;

	memcpy(before, meta, meta_bytes);
	printf("sample %" PRIu64 "\n", ++nr_sampled);
	replay_read_answer(line, sizeof(line));
	if (!compare_device(line))
		violation("the device differs from what was computed");
	replay_read_answer(line, sizeof(line));

	media.meta_changed = true;
	if (!media_read_bits(&media, note_change, &bits_changed, text))
		violation(text);
	if (bits_changed)
		violation("use and removal of the device changed the bits");
	if (media.in_use)
		violation("the bitmap is in use after the removal");
	memcpy(meta, before, meta_bytes);
	media.meta_changed = true;
	if (!media_read_bits(&media, NULL, NULL, text))
		violation(text);
	free(before);
}

/* Check the media as a crash would have left them now. */
static void check_state(void)
{
	char text[MEDIA_TEXT_BYTES];
	uint64_t s;

	nr_states++;
	if (!media_read_bits(&media, touch_block, NULL, text)) {
		violation(text);
		return;
	}
	if (nr_states % FULL_CHECK_STATES == 0)
		for (s = 0; s < volume_sectors; s++)
			touch(NULL, s);
	check_touched();
	if (sample_interval && nr_states % sample_interval == 0)
		sample();
}

/*
 * A write with FUA is logged at once. An earlier write without FUA is logged later
 * than it, at a flush. In the window where the guest writes with FUA only, all other
 * writes are fills, and a fill is never newer than the guest's data: so skip it.
 */
static bool is_overtaken(const struct log_entry *entry, uint64_t sector)
{
	return log_is_cached_write(entry) && sector >= fua_window[0] &&
	       sector - fua_window[0] < fua_window[1] &&
	       stamp_read(media.data + sector * SECTOR_BYTES, sector);
}

static void write_sector(const struct log_entry *entry, uint64_t sector, const void *data)
{
	if (is_overtaken(entry, sector))
		return;
	media_write(&media, sector, data);
	if (sector < volume_sectors)
		touch(NULL, sector);
}

static void apply_mark(const struct log_entry *entry)
{
	char text[LOG_TEXT_BYTES];

	if (log_read_mark(&crash_log, entry, text) &&
	    promise_mark(&promise, text, touch, NULL))
		nr_marks++;
}

static void changed(uint64_t sector)
{
	media_changed(&media, sector);
	if (sector < volume_sectors)
		touch(NULL, sector);
}

/* Returns an upper limit of the number of states. */
static uint64_t prepare(void)
{
	uint64_t states = 1;
	enum log_device device;
	size_t i;

	for (i = 0; i < crash_log.nr_entries; i++)
		states += log_is_flush(&crash_log, &crash_log.entries[i], &device) ?
			  nr_trials : 1;
	touched = replay_allocate(volume_sectors, sizeof(*touched));
	is_touched = replay_allocate(volume_sectors, sizeof(*is_touched));
	return states;
}

static void replay(void)
{
	const struct replay program = {
		.log = &crash_log,
		.image = media.data,
		.nr_sectors = media.bytes / SECTOR_BYTES,
		.nr_trials = nr_trials,
		.write = write_sector,
		.changed = changed,
		.mark = apply_mark,
		.check = check_state,
	};

	snprintf(state_name, sizeof(state_name), "before the log");
	check_state();
	replay_log(&program);
}

static void open_backing(void)
{
	int fd = open(backing_path, O_RDONLY | O_CLOEXEC);
	off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (bytes < 0)
		err(2, "%s", backing_path);
	backing = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (backing == MAP_FAILED)
		err(2, "%s", backing_path);
	backing_sectors = bytes / SECTOR_BYTES;
}

static void parse_arguments(char **argv)
{
	const struct arg args[] = {
		{ "log", .text = &log_path },
		{ "image", .text = &image_path },
		{ "backing", .text = &backing_path },
		{ "journal", .text = &journal_path },
		{ "volume", .number = &volume_sectors },
		{ "block", .number = &block_sectors },
		{ "fua-window", .range = &fua_window },
		{ "trials", .number = &nr_trials },
		{ "samples", .number = &nr_samples },
		{ "seed", .number = &random_state },
	};

	args_parse(args, sizeof(args) / sizeof(*args), argv);
	if (!log_path || !image_path || !backing_path || !journal_path ||
	    !volume_sectors || !block_sectors || !random_state)
		errx(2, "arguments are missing; the program's first comment has them");
}

int main(int argc, char **argv)
{
	uint64_t states;

	(void)argc;
	parse_arguments(argv);
	log_open(&crash_log, log_path);
	media_open(&media, image_path, volume_sectors, block_sectors);
	log_set_parts(&crash_log, volume_sectors,
		      media.bytes / SECTOR_BYTES - volume_sectors);
	promise_open(&promise, journal_path, volume_sectors);
	open_backing();
	states = prepare();
	if (nr_samples)
		sample_interval = states / nr_samples ? states / nr_samples : 1;
	replay();
	printf("done: entries %zu, states %" PRIu64 ", marks %" PRIu64
	       ", sectors %" PRIu64 ", samples %" PRIu64 ", violations %u\n",
	       crash_log.nr_entries, nr_states, nr_marks, nr_checked,
	       nr_sampled, nr_violations);
	return nr_violations ? 1 : 0;
}
