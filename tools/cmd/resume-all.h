/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESUME_ALL_H
#define DMLIVE_RESUME_ALL_H

#include <stdbool.h>

/*
 * Resume all unfinished restores. @with_systemd: let systemd start their servers. Returns
 * EXIT_OK, or the exit status of the first one that failed.
 */
int resume_all(bool with_systemd, bool json);

#endif /* DMLIVE_RESUME_ALL_H */
