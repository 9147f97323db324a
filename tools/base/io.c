// SPDX-License-Identifier: GPL-2.0-only
/* Reading and writing all of something at once, see io.h. */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

int io_read(int fd, const char *path, uint64_t offset, void *to, size_t bytes)
{
	uint8_t *at = to;

	while (bytes) {
		ssize_t n = pread(fd, at, bytes, offset);
		int r = -errno;

		if (n < 0 && r == -EINTR)
			continue;
		if (n < 0) {
			error_errno(r, "%s: cannot read", path);
			return r;
		}
		if (!n) {
			error("%s: ends before offset %" PRIu64, path, offset);
			return -EINVAL;
		}
		at += n;
		offset += n;
		bytes -= n;
	}
	return 0;
}

int io_write(int fd, const char *path, uint64_t offset, const void *from,
	     size_t bytes)
{
	const uint8_t *at = from;

	while (bytes) {
		ssize_t n = pwrite(fd, at, bytes, offset);
		int r = n ? -errno : -EIO;

		if (n < 0 && r == -EINTR)
			continue;
		if (n <= 0) {
			error_errno(r, "%s: cannot write", path);
			return r;
		}
		at += n;
		offset += n;
		bytes -= n;
	}
	return 0;
}

int io_sync(int fd, const char *path)
{
	int r;

	if (!fsync(fd))
		return 0;
	r = -errno;
	error_errno(r, "%s: cannot sync", path);
	return r;
}
