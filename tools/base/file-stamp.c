// SPDX-License-Identifier: GPL-2.0-only
/* Inode and times of a file, see file-stamp.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file-stamp.h"

#define NS_PER_SECOND 1000000000ull

static int get(int fd, const char *path, int flags, struct file_stamp *stamp)
{
	struct statx stx;

	memset(stamp, 0, sizeof(*stamp));
	if (statx(fd, path, flags, STATX_INO | STATX_MTIME | STATX_BTIME,
		  &stx))
		return -errno;
	if (!(stx.stx_mask & STATX_BTIME) || !S_ISREG(stx.stx_mode))
		return -ENOTSUP;
	stamp->inode = stx.stx_ino;
	stamp->birth_ns = stx.stx_btime.tv_sec * NS_PER_SECOND +
			  stx.stx_btime.tv_nsec;
	stamp->mtime_s = stx.stx_mtime.tv_sec;
	stamp->mtime_ns = stx.stx_mtime.tv_nsec;
	return 0;
}

int file_stamp_get(const char *path, struct file_stamp *stamp)
{
	return get(AT_FDCWD, path, 0, stamp);
}

int file_stamp_get_fd(int fd, struct file_stamp *stamp)
{
	return get(fd, "", AT_EMPTY_PATH, stamp);
}

struct timespec file_stamp_new_mtime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec &= ~(time_t)1;
	now.tv_nsec = 0;
	return now;
}
