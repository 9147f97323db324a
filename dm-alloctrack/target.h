/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_TARGET_H
#define DM_ALLOCTRACK_TARGET_H

/* The target: its life, and what device mapper asks of it. */

int at_target_init(void);
void at_target_exit(void);

#endif /* DM_ALLOCTRACK_TARGET_H */
