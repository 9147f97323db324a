// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large allocations, see memory.h.
 *
 * vmalloc() allocates page by page. For a single page, the allocator would rather kill
 * a process than fail; with __GFP_RETRY_MAYFAIL it fails. But it fails only after the
 * last pages are taken, and any other request meanwhile wakes the OOM killer. So a
 * request that is clearly too large is not even started.
 */
#include <linux/bits.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "memory.h"

/* Smaller requests are not checked. */
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
	/* A device must not stay suspended because of an estimate. */
	if (bytes > LARGE_BYTES && !(current->flags & PF_MEMALLOC_NOIO) &&
	    !is_available(bytes))
		return NULL;
	if (bytes <= KMALLOC_MAX_SIZE)
		memory = kmalloc(bytes, gfp | __GFP_NORETRY);
	return memory ?: __vmalloc(bytes, gfp | __GFP_RETRY_MAYFAIL);
}
EXPORT_SYMBOL_GPL(dm_live_zalloc_large);
