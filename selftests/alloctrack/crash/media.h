/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CRASH_MEDIA_H
#define CRASH_MEDIA_H

/*
 * The logged device as a crash left it: the volume, followed by the metadata device.
 * It is a file mapped into memory, so that loop devices on it show the same. And the
 * bitmap that the metadata device holds: it is read through the kernel's own checks,
 * since a store that the kernel would refuse is lost as well.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEDIA_SECTOR_BYTES	512
#define MEDIA_TEXT_BYTES	300

struct media {
	uint8_t *data;
	uint64_t bytes;
	uint64_t volume_sectors;
	uint32_t block_sectors;

	bool meta_changed;
	uint8_t *bits;		/* of the last media_read_bits() */
	uint8_t *new_bits;
	size_t bits_bytes;
	bool in_use;
};

/* Ends the program, with a message, on any error. */
void media_open(struct media *media, const char *path, uint64_t volume_sectors,
		uint32_t block_sectors);

/* Write one sector; NULL as @data: zeros. */
void media_write(struct media *media, uint64_t sector, const void *data);

/* A sector was changed by other means than media_write(). */
void media_changed(struct media *media, uint64_t sector);

/*
 * Read the bitmap again if the metadata has changed since the last call. Calls
 * @changed for each block whose bit has changed. Returns false, with a text, if
 * the store is not valid.
 */
bool media_read_bits(struct media *media,
		     void (*changed)(void *context, uint64_t block),
		     void *context, char text[MEDIA_TEXT_BYTES]);

bool media_is_allocated(const struct media *media, uint64_t block);

#endif /* CRASH_MEDIA_H */
