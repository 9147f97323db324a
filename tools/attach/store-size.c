// SPDX-License-Identifier: GPL-2.0-only
/* Is a bitmap store for a volume of this size? */
#include <inttypes.h>

#include "attach/attach.h"
#include "lib/exit.h"
#include "lib/log.h"
#include "lib/size.h"
#include "qcow2/image.h"

int store_check_size(const struct volume *volume, const struct blockdev *meta)
{
	const struct image_options options = {
		.format = "qcow2",
		.metadata_only = true,
	};
	char store[SIZE_TEXT_BYTES], present[SIZE_TEXT_BYTES];
	struct image_error ignored;
	struct image *image;
	uint64_t bytes;

	/* What is no store at all, the kernel refuses with the reason. */
	if (image_open(meta->path, &options, &image, &ignored))
		return EXIT_OK;
	bytes = image_size(image);
	image_close(image);
	if (bytes == volume->device.bytes)
		return EXIT_OK;
	error("the store on %s is for %s (%" PRIu64 " bytes), and the volume %s has %s (%" PRIu64 "): it was resized, or the store is another volume's; make a new one: dmlive meta format %s --track --size %" PRIu64 " --force (what its bitmaps recorded is lost, so the next backup is a full one)",
	      meta->path, size_format(bytes, store), bytes,
	      volume->device.path,
	      size_format(volume->device.bytes, present),
	      volume->device.bytes, meta->path, volume->device.bytes);
	return EXIT_REFUSED;
}
