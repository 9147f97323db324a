// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files and block devices under the image reader: opening, identity, positioned
 * reads, holes. The descriptor's own position is used for seeking holes only;
 * nobody reads at it, so threads do not disturb each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/host-lock.h"
#include "error.h"
#include "host-file.h"

struct host_file {
	int fd;
	char *path;
	uint64_t size_bytes;
	uint64_t allocated_bytes;
	bool is_block;
	dev_t dev;	/* of a block device: its own number */
	ino_t ino;
};

static int block_device_size(int fd, const char *path, uint64_t *size,
			     struct image_error *err)
{
	if (ioctl(fd, BLKGETSIZE64, size))
		return image_fail(err, -errno, "%s: cannot get the device's size: %s",
				  path, strerror(errno));
	return 0;
}

static int refuse_kind(const char *path, struct image_error *err)
{
	return image_fail(err, -EINVAL,
			  "%s: neither a regular file nor a block device", path);
}

static int identify(struct host_file *file, struct image_error *err)
{
	struct stat st;

	if (fstat(file->fd, &st))
		return image_fail(err, -errno, "%s: %s", file->path,
				  strerror(errno));
	file->is_block = S_ISBLK(st.st_mode);
	if (file->is_block) {
		file->dev = st.st_rdev;
		return block_device_size(file->fd, file->path,
					 &file->size_bytes, err);
	}
	if (!S_ISREG(st.st_mode))
		return refuse_kind(file->path, err);
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	file->size_bytes = st.st_size;
	file->allocated_bytes = (uint64_t)st.st_blocks * 512;
	return 0;
}

int host_file_open_fd(int fd, const char *path, struct host_file **out,
		      struct image_error *err)
{
	struct host_file *file = calloc(1, sizeof(*file));
	int ret;

	if (!file) {
		close(fd);
		return image_fail_memory(err, path);
	}
	file->fd = fd;
	file->path = strdup(path);
	if (!file->path) {
		ret = image_fail_memory(err, path);
		goto fail;
	}
	ret = identify(file, err);
	if (ret)
		goto fail;
	*out = file;
	return 0;

fail:
	host_file_close(file);
	return ret;
}

int host_file_open(const char *path, struct host_file **file,
		   struct image_error *err)
{
	struct stat st;
	int fd;

	/*
	 * Checked before it is opened, too: an image may name anything as its
	 * backing file, and opening some devices has effects.
	 */
	if (stat(path, &st))
		return image_fail(err, -errno, "%s: cannot open: %s", path,
				  strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return refuse_kind(path, err);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return image_fail(err, -errno, "%s: cannot open: %s", path,
				  strerror(errno));
	return host_file_open_fd(fd, path, file, err);
}

void host_file_close(struct host_file *file)
{
	if (!file)
		return;
	close(file->fd);
	free(file->path);
	free(file);
}

const char *host_file_path(const struct host_file *file)
{
	return file->path;
}

int host_file_fd(const struct host_file *file)
{
	return file->fd;
}

uint64_t host_file_size(const struct host_file *file)
{
	return file->size_bytes;
}

uint64_t host_file_allocated(const struct host_file *file)
{
	return file->allocated_bytes;
}

bool host_file_same(const struct host_file *a, const struct host_file *b)
{
	if (a->is_block != b->is_block || a->dev != b->dev)
		return false;
	return a->is_block || a->ino == b->ino;
}

bool host_file_same_fd(const struct host_file *file, int fd)
{
	struct stat st;

	if (fstat(fd, &st) || file->is_block != S_ISBLK(st.st_mode))
		return false;
	if (file->is_block)
		return file->dev == st.st_rdev;
	return file->dev == st.st_dev && file->ino == st.st_ino;
}

static int read_inside(const struct host_file *file, uint64_t offset,
		       unsigned char *buffer, size_t length,
		       struct image_error *err)
{
	while (length) {
		size_t chunk = length < SSIZE_MAX ? length : SSIZE_MAX;
		ssize_t got = pread(file->fd, buffer, chunk, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return image_fail(err, -errno,
					  "%s: cannot read %zu bytes at %llu: %s",
					  file->path, length,
					  (unsigned long long)offset,
					  strerror(errno));
		if (!got)
			return image_fail(err, -EIO,
					  "%s: ends at %llu: it was truncated while in use",
					  file->path, (unsigned long long)offset);
		offset += got;
		buffer += got;
		length -= got;
	}
	return 0;
}

int host_file_read(const struct host_file *file, uint64_t offset, void *buffer,
		   size_t length, struct image_error *err)
{
	size_t inside = 0;

	if (offset < file->size_bytes) {
		inside = length;
		if (inside > file->size_bytes - offset)
			inside = file->size_bytes - offset;
	}
	memset((char *)buffer + inside, 0, length - inside);
	return read_inside(file, offset, buffer, inside, err);
}

uint64_t host_file_run(const struct host_file *file, uint64_t offset,
		       uint64_t length, bool *data)
{
	off_t end;

	if (offset >= file->size_bytes) {
		*data = false;
		return length;
	}
	if (length > file->size_bytes - offset)
		length = file->size_bytes - offset;
	*data = true;
	end = lseek(file->fd, offset, SEEK_DATA);
	if (end < 0 && errno == ENXIO) {
		/* A hole up to the end of the file. */
		*data = false;
		return length;
	}
	if (end < 0)
		return length;
	if ((uint64_t)end > offset)
		*data = false;
	else
		end = lseek(file->fd, offset, SEEK_HOLE);
	if (end < 0 || (uint64_t)end <= offset)
		return length;
	return (uint64_t)end - offset < length ? (uint64_t)end - offset : length;
}

int host_file_lock(const struct host_file *file, struct image_error *err)
{
	if (!host_lock_for_reading(file->fd))
		return 0;
	return image_fail(err, -EBUSY,
			  "%s: another process is writing to this image (a running VM?); stop it, or use --force to read it all the same",
			  file->path);
}
