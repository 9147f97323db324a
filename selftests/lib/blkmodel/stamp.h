/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BLKMODEL_STAMP_H
#define BLKMODEL_STAMP_H

/*
 * The content of a written sector: a head with the model, the write and the sector,
 * protected by a checksum, and words that are computed from the head. So the data of
 * another write, data of another sector and torn sectors are all detected.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define STAMP_BYTES 512u
#define STAMP_WORDS (STAMP_BYTES / sizeof(uint64_t))

struct stamp {
	uint64_t magic;
	uint64_t id;		/* of the model: its seed */
	uint64_t sector;
	uint32_t sequence;	/* of the write */
	uint32_t crc32;		/* of what stands before it */
	uint64_t words[STAMP_WORDS - 4];
};

void stamp_make(struct stamp *stamp, uint64_t id, uint64_t sector,
		uint32_t sequence);

/** stamp_is_whole - is this a complete and valid stamp? */
bool stamp_is_whole(const struct stamp *stamp);

/** stamp_describe - print what is known of a sector's content */
void stamp_describe(FILE *out, const void *data);

#endif /* BLKMODEL_STAMP_H */
