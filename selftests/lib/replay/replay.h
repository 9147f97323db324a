/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_H
#define REPLAY_H

/*
 * The core of programs that go through a log: they write it entry by entry to an image,
 * and check each state in which a crash could have left the image.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "caches.h"
#include "log.h"

/* The state of random_below(): any number but 0. */
extern uint64_t random_state;

/* 0 to @limit - 1, by xorshift: the same in each run with the same seed. */
uint64_t random_below(uint64_t limit);

/* The name of the present state, for reports. */
extern char state_name[160];
extern unsigned int nr_violations;

/* Report that a promise is broken. The tenth report ends the program. */
void violation(const char *text);

/* Zeroed memory, for @nr objects of @bytes each. Never fails, as the next two. */
void *replay_allocate(size_t nr, size_t bytes);

/* Map the file at @path: writes to the memory are writes to the file. */
uint8_t *replay_map_image(const char *path, uint64_t *bytes);

/* Read the test's answer to a line that was printed. */
void replay_read_answer(char *line, size_t bytes);

/**
 * struct replay - what a program does with a log
 * @log: the log
 * @image: the device as a whole, of @nr_sectors
 * @nr_trials: how many states to check before each flush, see caches_try()
 * @write: write a sector of an entry to the image; NULL as @data: zeros
 * @changed: the image has changed at this sector
 * @mark: an entry that is a write to the place for marks
 * @check: check the present state
 * @written: entry @i has been written, and its state checked; may be NULL
 */
struct replay {
	const struct log *log;
	uint8_t *image;
	uint64_t nr_sectors;
	uint64_t nr_trials;
	void (*write)(const struct log_entry *entry, uint64_t sector, const void *data);
	void (*changed)(uint64_t sector);
	void (*mark)(const struct log_entry *entry);
	void (*check)(void);
	void (*written)(size_t i);
};

void replay_log(const struct replay *replay);

#endif /* REPLAY_H */
