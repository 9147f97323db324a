// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core of programs that go through a log, see replay.h.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "replay.h"

#define MAX_VIOLATIONS	10

uint64_t random_state = 88172645463325252ULL;
char state_name[160];
unsigned int nr_violations;

static const struct replay *replay;
static struct caches caches;
static uint8_t *entry_data;

uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

void violation(const char *text)
{
	printf("violation: %s: %s\n", state_name, text);
	if (++nr_violations < MAX_VIOLATIONS)
		return;
	printf("violation: and more\n");
	exit(1);
}

void *replay_allocate(size_t nr, size_t bytes)
{
	void *memory = calloc(nr ? nr : 1, bytes);

	if (!memory)
		errx(2, "out of memory");
	return memory;
}

uint8_t *replay_map_image(const char *path, uint64_t *bytes)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat status;
	uint8_t *image;

	if (fd < 0 || fstat(fd, &status))
		err(2, "%s", path);
	*bytes = status.st_size;
	image = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (image == MAP_FAILED)
		err(2, "%s", path);
	return image;
}

void replay_read_answer(char *line, size_t bytes)
{
	fflush(stdout);
	if (!fgets(line, bytes, stdin))
		errx(2, "no answer to a sample");
	line[strcspn(line, "\n")] = 0;
}

/* @torn: only some of the sectors, chosen at random. */
static void apply(const struct log_entry *entry, bool torn)
{
	uint64_t i;

	if (entry->sector + entry->nr_sectors > replay->nr_sectors)
		errx(2, "the log has a write beyond the device, at sector %llu",
		     (unsigned long long)entry->sector);
	log_read(replay->log, entry, entry_data);
	for (i = 0; i < entry->nr_sectors; i++)
		if (!torn || random_below(2))
			replay->write(entry, entry->sector + i,
				      entry->flags & LOG_DISCARD ? NULL :
				      entry_data + i * LOG_SECTOR_BYTES);
}

static void write_entry(size_t i)
{
	caches_before(&caches, i);
	apply(&replay->log->entries[i], false);
	caches_after(&caches, i);
	snprintf(state_name, sizeof(state_name), "entry %zu", i);
	replay->check();
	if (replay->written)
		replay->written(i);
}

static uint64_t largest_entry(const struct log *log)
{
	uint64_t max = 0;
	size_t i;

	for (i = 0; i < log->nr_entries; i++)
		if (log->entries[i].data_bytes > max)
			max = log->entries[i].data_bytes;
	return max;
}

void replay_log(const struct replay *program)
{
	const struct trial trial = {
		.apply = apply,
		.changed = program->changed,
		.check = program->check,
	};
	const struct log *log = program->log;
	enum log_device device;
	size_t i;

	replay = program;
	entry_data = replay_allocate(1, largest_entry(log) + 1);
	caches_open(&caches, log, program->image, program->nr_sectors);
	for (i = 0; i < log->nr_entries; i++) {
		const struct log_entry *entry = &log->entries[i];

		if (log_is_flush(log, entry, &device)) {
			caches_try(&caches, program->nr_trials, &trial);
			caches_flush(&caches, device);
		} else if (log_device(log, entry) == LOG_MARKS) {
			program->mark(entry);
		} else if (entry->nr_sectors && !(entry->flags & LOG_MARK)) {
			write_entry(i);
		}
	}
}
