/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_FINISH_H
#define DMLIVE_RESTORE_FINISH_H

/*
 * Swap the table of a complete alloctrack device for a plain linear mapping, with I/O
 * going on: I/O is held during the swap, and no file system is frozen. Its metadata
 * device, if there is one, is not needed any more: it is removed, or marked as
 * finished. Prints why it cannot be done.
 *
 * Return: 0, also when the device is a linear mapping already; -EAGAIN when it is not
 * complete, -EBUSY when it is suspended, -EINVAL when it is not an alloctrack device,
 * or another negative errno.
 */
int finish_device(const char *name);

#endif /* DMLIVE_RESTORE_FINISH_H */
