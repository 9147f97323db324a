/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_MEMORY_H
#define DM_LIVE_MEMORY_H

/*
 * Memory whose size depends on that of a device, or on what is read from one. When
 * there is not enough, the table is refused: no process is killed to make room for
 * it.
 */

#include <linux/device-mapper.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/types.h>

/**
 * dm_live_zalloc_large - zeroed memory of any size
 * Context: may sleep. GFP_KERNEL, or what memalloc_noio_save() makes of it.
 * Return: the memory, for kvfree(); NULL when that much is not available.
 */
void *dm_live_zalloc_large(u64 bytes);

/**
 * dm_live_construct - make a table, and wait for no I/O of its own device for that
 * @construct: the constructor
 *
 * A table may be loaded while the device is suspended. Then reclaim must not write to
 * the device: that would wait for a resume.
 */
static inline int dm_live_construct(struct dm_target *ti, unsigned int argc,
				    char **argv, dm_ctr_fn construct)
{
	bool is_suspended = dm_suspended(ti);
	unsigned int noio = 0;
	int r;

	if (is_suspended)
		noio = memalloc_noio_save();
	r = construct(ti, argc, argv);
	if (is_suspended)
		memalloc_noio_restore(noio);
	return r;
}

#endif /* DM_LIVE_MEMORY_H */
