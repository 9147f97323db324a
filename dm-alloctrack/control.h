/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_CONTROL_H
#define DM_ALLOCTRACK_CONTROL_H

/* /dev/dm-alloctrack. */

int at_control_init(void);
void at_control_exit(void);

#endif /* DM_ALLOCTRACK_CONTROL_H */
