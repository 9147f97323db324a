/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_TARGET_H
#define DM_ALLOCTRACK_TARGET_H

/* The target: its life, and what device mapper asks of it. */

struct at_table;

int at_target_init(void);
void at_target_exit(void);

/** at_raise_event - raise a device-mapper event, soon. Any context. */
void at_raise_event(struct at_table *table);

#endif /* DM_ALLOCTRACK_TARGET_H */
