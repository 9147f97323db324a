// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer: for any content of an image, the reader does not crash, hang or allocate
 * unlimited memory, and mapping and reading agree.
 *
 * The work on one input is limited, since the sizes in it may be huge: a number of extents
 * is walked from the start, and the same number at places all over the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libfuzzer.h"
#include "qcow2/check.h"
#include "qcow2/image.h"
#include "qcow2/preflight.h"

#define MAX_EXTENTS 200
#define MAX_PLACES 50
#define MAX_READ_BYTES (32U << 10)

static char buffer[MAX_READ_BYTES];

static void no_finding(void *context, bool corruption, const char *text)
{
	(void)context;
	(void)corruption;
	if (!text[0])
		abort();
}

/* A failure must have a message. */
static bool failed(int ret, struct image_error *err)
{
	if (ret > 0 || (ret && !err->message[0]))
		abort();
	if (ret)
		err->message[0] = '\0';
	return ret;
}

static void check_zero(const char *bytes, size_t length)
{
	/* A loop over the bytes would be instrumented, and slow. */
	if (bytes[0] || memcmp(bytes, bytes + 1, length - 1))
		abort();
}

/* Returns the length of the extent, 0 on error. */
static uint64_t visit(struct image *image, uint64_t offset)
{
	uint64_t left = image_size(image) - offset;
	struct image_error err = { "" };
	struct image_extent extent;
	size_t length;

	if (failed(image_map(image, offset, left, &extent, &err), &err))
		return 0;
	if (extent.offset != offset || !extent.length || extent.length > left)
		abort();
	length = extent.length < sizeof(buffer) ? extent.length :
						  sizeof(buffer);
	memset(buffer, 0xa5, length);
	if (failed(image_read(image, offset, buffer, length, &err), &err))
		return extent.length;
	if (extent.kind == IMAGE_EXTENT_ZERO)
		check_zero(buffer, length);
	/* Again, through the cache of clusters. */
	if (length > 700)
		failed(image_read(image, offset + 513, buffer, 100, &err),
		       &err);
	return extent.length;
}

static void visit_all(struct image *image)
{
	uint64_t size = image_size(image), offset = 0, length;
	struct image_error err = { "" };
	unsigned int i;

	failed(image_preflight(image, NULL, &err), &err);
	for (i = 0; i < MAX_EXTENTS && offset < size; i++) {
		length = visit(image, offset);
		if (!length)
			length = image_cluster_size(image);
		if (length >= size - offset)
			break;
		offset += length;
	}
	for (i = 0; i < MAX_PLACES && size; i++)
		visit(image, size / MAX_PLACES * i);
	if (size)
		visit(image, size - 1);
}

static void open_and(const char *path, const struct image_options *options,
		     void (*visit_image)(struct image *image))
{
	struct image_error err = { "" };
	struct image *image;

	if (failed(image_open(path, options, &image, &err), &err))
		return;
	visit_image(image);
	image_close(image);
}

static void describe_and_check(struct image *image)
{
	struct check check = { .finding = no_finding };
	const struct image_layer_info *info;
	struct image_error err = { "" };

	failed(image_describe(image, 0, &info, &err), &err);
	if (image_size(image) < 1ULL << 40)
		failed(image_check(image, &check, &err), &err);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct image_options read = { .format = "qcow2", .force = true };
	struct image_options snapshot = read, check = read;
	char path[64];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snapshot.snapshot = "1";
	check.metadata_only = true;
	open_and(path, NULL, visit_all);
	open_and(path, &read, visit_all);
	open_and(path, &snapshot, visit_all);
	open_and(path, &check, describe_and_check);
	close(fd);
	return 0;
}
