// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks of devices, between processes of this program.
 *
 * An exclusive open finds out whether a device is in use, but does not claim it for a
 * mapped device: the kernel has one holder for all of them, so that a second one can
 * be loaded over the same device. The lock keeps others off, from the check until the
 * table is loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "base/log.h"

#define POLL_NS 50000000
#define LOCK_PATH "/run/dmlive-devices.lock"

/* One byte of the file stands for each device. */
int blockdev_try_lock(const struct blockdev *device)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = device->devt,
		.l_len = 1,
	};
	int fd = open(LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd >= 0 && !fcntl(fd, F_OFD_SETLK, &lock))
		return fd;
	r = fd >= 0 && (errno == EAGAIN || errno == EACCES) ? -EBUSY : -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

int blockdev_poll_lock(const struct blockdev *device, unsigned int tries)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	int fd = blockdev_try_lock(device);

	for (; fd == -EBUSY && tries > 1; tries--) {
		nanosleep(&pause, NULL);
		fd = blockdev_try_lock(device);
	}
	return fd;
}

int blockdev_lock(const struct blockdev *device)
{
	int fd = blockdev_try_lock(device);

	if (fd == -EBUSY)
		error("%s is being attached, detached, restored or backed up to by another process; try again when that has completed",
		      device->path);
	else if (fd < 0)
		error_errno(fd, "%s", LOCK_PATH);
	return fd;
}

bool blockdev_any_is_locked(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(LOCK_PATH, O_RDONLY | O_CLOEXEC);
	bool locked;

	if (fd < 0)
		return false;
	locked = !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
	close(fd);
	return locked;
}
