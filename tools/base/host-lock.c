// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks between the users of an image, compatible with QEMU's.
 *
 * Each permission has two bytes: its users hold a read lock on the first, those who
 * deny it to others one on the second. So two users never conflict on a lock itself;
 * each checks whether the other byte is locked. They are locks of open file
 * descriptions, not of processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/host-lock.h"

#define USED_BASE 100
#define NOT_SHARED_BASE 200

enum permission {
	CONSISTENT_READ = 0,
	WRITE = 1,
	RESIZE = 3,
};

static struct flock one_byte(off_t byte, short type)
{
	return (struct flock) {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};
}

static void lock_byte(int fd, off_t byte)
{
	struct flock lock = one_byte(byte, F_RDLCK);

	/* Where it fails nobody can have such a lock. */
	fcntl(fd, F_OFD_SETLK, &lock);
}

static bool locked_by_other(int fd, off_t byte)
{
	struct flock lock = one_byte(byte, F_WRLCK);

	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

int host_lock_for_reading(int fd)
{
	/* First lock, then check: of two that come together, one sees the other. */
	lock_byte(fd, USED_BASE + CONSISTENT_READ);
	lock_byte(fd, NOT_SHARED_BASE + WRITE);
	lock_byte(fd, NOT_SHARED_BASE + RESIZE);
	return locked_by_other(fd, USED_BASE + WRITE) ||
	       locked_by_other(fd, USED_BASE + RESIZE) ||
	       locked_by_other(fd, NOT_SHARED_BASE + CONSISTENT_READ) ? -EBUSY :
									 0;
}

static const enum permission all[] = { CONSISTENT_READ, WRITE, RESIZE };

#define NR_PERMISSIONS (sizeof(all) / sizeof(all[0]))

bool host_is_locked(int fd)
{
	size_t i;

	for (i = 0; i < NR_PERMISSIONS; i++)
		if (locked_by_other(fd, USED_BASE + all[i]) ||
		    locked_by_other(fd, NOT_SHARED_BASE + all[i]))
			return true;
	return false;
}

int host_lock_for_writing(int fd)
{
	size_t i;

	for (i = 0; i < NR_PERMISSIONS; i++) {
		lock_byte(fd, USED_BASE + all[i]);
		lock_byte(fd, NOT_SHARED_BASE + all[i]);
	}
	return host_is_locked(fd) ? -EBUSY : 0;
}
