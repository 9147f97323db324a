/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CRASH_STAMP_H
#define CRASH_STAMP_H

/*
 * The data that the guest writes, and its journal.
 *
 * Each sector has the number of its write and its own address. The rest of the sector
 * is computed from these two, so a sector with parts of two writes is detected. Writes
 * are numbered from 1 in the order in which they begin. Two writes to the same sector
 * never overlap in time, so the one with the higher number is newer.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define STAMP_SECTOR_BYTES	512
#define STAMP_WORDS		(STAMP_SECTOR_BYTES / 8)
#define STAMP_MAGIC		0x64656b6174536d64ULL

enum stamp_kind {
	STAMP_WRITE,		/* stamped sectors */
	STAMP_ZERO,		/* zeros, as certain as a write */
	STAMP_DISCARD,		/* afterwards zeros or the former content */
};

/*
 * A record of the journal; operation n is record n. @ack: the number of acknowledged
 * operations when this one was acknowledged, itself included; 0: never acknowledged.
 */
struct stamp_record {
	uint64_t sector;
	uint64_t nr_sectors;
	uint64_t ack;
	uint64_t kind;		/* enum stamp_kind */
};

static inline uint64_t stamp_word(uint64_t number, uint64_t sector, int word)
{
	uint64_t x = number * 0x9e3779b97f4a7c15ULL ^ sector << 20 ^ word;

	x ^= x >> 31;
	x *= 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 29;
}

static inline void stamp_make(void *data, uint64_t number, uint64_t sector)
{
	uint64_t *words = data;
	int i;

	words[0] = STAMP_MAGIC;
	words[1] = number;
	words[2] = sector;
	for (i = 3; i < STAMP_WORDS; i++)
		words[i] = stamp_word(number, sector, i);
}

/* The number of the write that @data is from; 0: not a complete stamp. */
static inline uint64_t stamp_read(const void *data, uint64_t sector)
{
	const uint64_t *words = data;
	int i;

	if (words[0] != STAMP_MAGIC || words[2] != sector)
		return 0;
	for (i = 3; i < STAMP_WORDS; i++)
		if (words[i] != stamp_word(words[1], sector, i))
			return 0;
	return words[1];
}

static inline bool stamp_is_zero(const void *data)
{
	const uint64_t *words = data;

	return !words[0] &&
	       !memcmp(words, words + 1, STAMP_SECTOR_BYTES - sizeof(*words));
}

#endif /* CRASH_STAMP_H */
