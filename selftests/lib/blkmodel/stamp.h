/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BLKMODEL_STAMP_H
#define BLKMODEL_STAMP_H

/*
 * The content of a written sector: a head that says who wrote it, guarded by a
 * checksum, and words that follow from the head alone. So a sector can be told
 * from any other write and from any other place, and a torn one from both.
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

/** stamp_is_whole - is that a stamp, complete and unharmed? */
bool stamp_is_whole(const struct stamp *stamp);

/** stamp_describe - print what a sector's bytes are, as far as one can tell */
void stamp_describe(FILE *out, const void *data);

#endif /* BLKMODEL_STAMP_H */
