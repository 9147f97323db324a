// SPDX-License-Identifier: GPL-2.0-only
/* Refuses a bitmap store that was made for a volume of another size. */
#include <inttypes.h>
#include <stdio.h>

#include "attach/attach.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "qcow2/image.h"

#define TEXT_BYTES 64

static const char *describe(uint64_t bytes, char text[TEXT_BYTES])
{
	char size[SIZE_TEXT_BYTES];

	snprintf(text, TEXT_BYTES, "%s (%" PRIu64 " bytes)",
		 size_format(bytes, size), bytes);
	return text;
}

int store_check_size(const struct volume *volume, const struct blockdev *meta)
{
	const struct image_options options = {
		.format = "qcow2",
		.metadata_only = true,
	};
	char store[TEXT_BYTES], present[TEXT_BYTES], resize[4200], command[4200];
	struct image_error ignored;
	struct image *image;
	uint64_t bytes;

	/* If it is not a store, the kernel refuses it, with the reason. */
	if (image_open(meta->path, &options, &image, &ignored))
		return EXIT_OK;
	bytes = image_size(image);
	image_close(image);
	if (bytes == volume->device.bytes)
		return EXIT_OK;
	snprintf(resize, sizeof(resize),
		 "dmlive meta resize %.4000s --size %" PRIu64, meta->path,
		 volume->device.bytes);
	snprintf(command, sizeof(command),
		 "dmlive meta format %.4000s --track --size %" PRIu64 " --force",
		 meta->path, volume->device.bytes);
	error("the store on %s is for a volume of %s, and %s has %s: it was resized, or the store belongs to another volume; if it was resized: %s; else make a new store: %s (its bitmaps start again, so the next backup is a full one)",
	      meta->path, describe(bytes, store), volume->device.path,
	      describe(volume->device.bytes, present), resize, command);
	return EXIT_REFUSED;
}
