/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_SHIM_H
#define DM_LIVE_SHIM_H

/*
 * What the pure parts of dm-live need from their environment: in the kernel its own
 * headers, in user space (unit tests, tools, fuzzers) small replacements with the
 * same meaning. No other file asks which of the two it is.
 */

#ifdef __KERNEL__

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/interval_tree_generic.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>

#include "memory.h"

static inline void *shim_zalloc_large(u64 bytes)
{
	return dm_live_zalloc_large(bytes);
}

static inline void shim_free_large(void *memory)
{
	kvfree(memory);
}

/* What follows may take long if @takes_long: a debug kernel warns where it must not. */
static inline void shim_may_take_long(bool takes_long)
{
	if (takes_long)
		__might_sleep(__FILE__, __LINE__);
}

static inline void shim_sort(void *base, size_t nr, size_t size,
			     int (*compare)(const void *a, const void *b))
{
	sort(base, nr, size, compare, NULL);
}

#else /* user space */

#include "shim-user.h"

#endif

#endif /* DM_LIVE_SHIM_H */
