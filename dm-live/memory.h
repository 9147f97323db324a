/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_MEMORY_H
#define DM_LIVE_MEMORY_H

/*
 * Memory whose size depends on that of a device, or on what is read from one. When
 * there is not enough, the table is refused: no process is killed to make room for
 * it.
 */

#include <linux/mm.h>
#include <linux/types.h>

/**
 * dm_live_zalloc_large - zeroed memory of any size
 * Context: may sleep. GFP_KERNEL, or what memalloc_noio_save() makes of it.
 * Return: the memory, for kvfree(); NULL when that much is not available.
 */
void *dm_live_zalloc_large(u64 bytes);

#endif /* DM_LIVE_MEMORY_H */
