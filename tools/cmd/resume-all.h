/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESUME_ALL_H
#define DMLIVE_RESUME_ALL_H

#include <stdbool.h>

/*
 * Resume all unfinished restores. @with_systemd: let systemd start their servers; else
 * @resume is called for each in a process of its own, with the path of its metadata device
 * or its mapped device. Returns EXIT_OK, or the exit status of the first one that failed.
 */
int resume_all(bool with_systemd, bool json, int (*resume)(const char *path));

#endif /* DMLIVE_RESUME_ALL_H */
