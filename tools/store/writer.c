// SPDX-License-Identifier: GPL-2.0-only
/*
 * An image that is open to have its bitmaps changed, see writer.h: locked against
 * QEMU, against targets and other users of its device, and against ourselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "base/log.h"
#include "block/loop.h"
#include "store/allocate.h"
#include "store/writer.h"
#include "base/host-lock.h"

int meta_check_image(const char *path, struct check *check)
{
	struct image_options options = {
		.format = "qcow2",
		.metadata_only = true,
	};
	struct image_error reason;
	struct image *image;
	int r;

	r = image_open(path, &options, &image, &reason);
	if (!r) {
		r = image_check(image, check, &reason);
		image_close(image);
	}
	if (r)
		error("%s", reason.message);
	return r;
}

static int check_refcounts(const char *path)
{
	struct check check = { 0 };
	int r = meta_check_image(path, &check);

	if (r)
		return r == -EINVAL ? -EOPNOTSUPP : r;
	if (!check.result.corruptions)
		return 0;
	error("%s: has errors (see dmlive meta check): repair it first, with qemu-img check -r all",
	      path);
	return -EINVAL;
}

static int check_device(const char *path)
{
	struct blockdev device;

	return blockdev_open(path, &device) ?: blockdev_check_unused(&device);
}

static int check_file(int fd, const char *path)
{
	struct stat stat;

	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) {
		error("%s: neither a regular file nor a block device", path);
		return -EINVAL;
	}
	return loop_check_unused(path, &stat);
}

static int open_locked(const char *path, bool held, struct meta_writer *writer)
{
	int r;

	writer->is_file = !path_is_blockdev(path);
	if (!writer->is_file && !held) {
		r = check_device(path);
		if (r)
			return r;
	}
	writer->fd = open(path, O_RDWR | O_CLOEXEC |
				(writer->is_file || held ? 0 : O_EXCL));
	if (writer->fd < 0) {
		r = -errno;
		error_errno(r, "%s: cannot be opened for writing", path);
		return r;
	}
	r = writer->is_file ? check_file(writer->fd, path) : 0;
	if (r)
		return r;
	r = host_lock_for_writing(writer->fd);
	if (r)
		error("%s: another process uses this image (a running VM?)",
		      path);
	return r;
}

int meta_writer_open(const char *path, unsigned int flags,
		     struct meta_writer *writer)
{
	int r;

	memset(writer, 0, sizeof(*writer));
	writer->fd = -1;
	/* A target has written past the page cache; the refcounts are read first. */
	if (path_is_blockdev(path))
		blockdev_drop_cache(path);
	/* Before the lock, which would get in its way. */
	r = flags & META_WRITER_REFCOUNTS ? check_refcounts(path) : 0;
	if (!r)
		r = open_locked(path, flags & META_WRITER_HELD, writer);
	if (r)
		goto close;
	r = meta_store_open(path, &writer->store);
	if (r)
		goto close;
	writer->cluster_bytes = 1ULL << writer->store.header.cluster_bits;
	writer->cluster = malloc(writer->cluster_bytes);
	if (writer->cluster)
		return 0;
	error("out of memory");
	r = -ENOMEM;
	meta_store_close(&writer->store);
close:
	if (writer->fd >= 0)
		close(writer->fd);
	return r;
}

void meta_writer_close(struct meta_writer *writer)
{
	meta_allocator_free(writer->allocator);
	free(writer->cluster);
	meta_store_close(&writer->store);
	close(writer->fd);
}
