// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making, checking and describing stamps.
 */
#include "stamp.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define MAGIC 0x504d4154534b4c42ULL	/* "BLKSTAMP" */
#define HEAD_BYTES offsetof(struct stamp, crc32)
#define DUMP_BYTES 64

_Static_assert(sizeof(struct stamp) == STAMP_BYTES, "a stamp is a sector");

static uint32_t crc32(const void *data, size_t bytes)
{
	const unsigned char *p = data;
	uint32_t crc = ~0u;
	int bit;

	while (bytes--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint32_t head_crc(const struct stamp *stamp)
{
	return crc32(stamp, HEAD_BYTES);
}

void stamp_make(struct stamp *stamp, uint64_t id, uint64_t sector,
		uint32_t sequence)
{
	uint64_t word = mix(mix(mix(id) + sector) + sequence);
	unsigned int i;

	stamp->magic = MAGIC;
	stamp->id = id;
	stamp->sector = sector;
	stamp->sequence = sequence;
	stamp->crc32 = head_crc(stamp);
	for (i = 0; i < STAMP_WORDS - 4; i++)
		stamp->words[i] = word += 0x9e3779b97f4a7c15ULL;
}

bool stamp_is_whole(const struct stamp *stamp)
{
	struct stamp made;

	if (stamp->magic != MAGIC)
		return false;
	stamp_make(&made, stamp->id, stamp->sector, stamp->sequence);
	return !memcmp(stamp, &made, sizeof(made));
}

static bool is_filled(const unsigned char *bytes)
{
	return !memcmp(bytes, bytes + 1, STAMP_BYTES - 1);
}

static void dump(FILE *out, const unsigned char *bytes)
{
	unsigned int i, j;

	for (i = 0; i < DUMP_BYTES; i += 16) {
		fprintf(out, "    %03x ", i);
		for (j = i; j < i + 16; j++)
			fprintf(out, " %02x", bytes[j]);
		fprintf(out, "  ");
		for (j = i; j < i + 16; j++)
			fputc(bytes[j] >= ' ' && bytes[j] < 127 ? bytes[j] : '.', out);
		fputc('\n', out);
	}
}

void stamp_describe(FILE *out, const void *data)
{
	const unsigned char *bytes = data;
	struct stamp stamp;

	memcpy(&stamp, data, sizeof(stamp));
	if (is_filled(bytes))
		fprintf(out, "all bytes %#04x\n", bytes[0]);
	else if (stamp.magic != MAGIC)
		fprintf(out, "no stamp\n");
	else
		fprintf(out, "%s: seed %" PRIu64 ", sector %" PRIu64 ", write %u\n",
			stamp_is_whole(&stamp) ? "a whole stamp" :
			stamp.crc32 == head_crc(&stamp) ? "a stamp with a torn body" :
			"a stamp with a bad checksum",
			stamp.id, stamp.sector, stamp.sequence);
	dump(out, bytes);
}
