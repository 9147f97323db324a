/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_HOST_LOCK_H
#define DMLIVE_HOST_LOCK_H

#include <stdbool.h>

/*
 * Lock an open image, as QEMU does, so that nobody else reads or writes it. The
 * lock ends when @fd is closed. 0, or -EBUSY when somebody uses it.
 */
int host_lock_for_writing(int fd);

/* Does somebody else hold a lock on it, as QEMU does? Takes none. */
bool host_is_locked(int fd);

#endif /* DMLIVE_HOST_LOCK_H */
