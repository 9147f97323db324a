// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large allocations, see memory.h.
 *
 * vmalloc() takes page after page. Each is so small that the allocator would rather kill
 * a process than fail; with __GFP_RETRY_MAYFAIL it fails. But the last pages are taken
 * by then, and any other request meanwhile wakes the OOM killer: so what
 * is clearly too much is not begun with.
 */
#include <linux/bits.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "memory.h"

/* Less than that is not worth a look. */
#define LARGE_BYTES	BIT(20)

/* An eighth is left to everybody else: how much is available is an estimate. */
static bool is_available(u64 bytes)
{
	long pages = si_mem_available();

	return pages > 0 && bytes >> PAGE_SHIFT <= pages - pages / 8;
}

void *dm_live_zalloc_large(u64 bytes)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;
	void *memory = NULL;

	if (bytes != (size_t)bytes)
		return NULL;
	/* No device is to stay suspended because of an estimate. */
	if (bytes > LARGE_BYTES && !(current->flags & PF_MEMALLOC_NOIO) &&
	    !is_available(bytes))
		return NULL;
	if (bytes <= KMALLOC_MAX_SIZE)
		memory = kmalloc(bytes, gfp | __GFP_NORETRY);
	return memory ?: __vmalloc(bytes, gfp | __GFP_RETRY_MAYFAIL);
}
EXPORT_SYMBOL_GPL(dm_live_zalloc_large);
