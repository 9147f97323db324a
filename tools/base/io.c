// SPDX-License-Identifier: GPL-2.0-only
/* Reading and writing all of something at once, see io.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
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

char *io_read_text(int fd, size_t max_bytes)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st))
		return NULL;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max_bytes) {
		errno = EFBIG;
		return NULL;
	}
	text = malloc(st.st_size + 1);
	n = text ? pread(fd, text, st.st_size, 0) : -1;
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}
