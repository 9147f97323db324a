// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fleece store: slots of one block each on a device of any size, given out
 * on demand.
 *
 * The map from blocks to slots is an array in memory, four bytes for each block
 * of the origin. Nothing of it is written: with the session it is gone.
 */
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "cbw.h"

/**
 * struct cbw_fleece - the store of a session
 * @map: slot of each block; an entry is protected by the block's range lock
 * @nr_slots: how many there are
 * @low_water: the event is raised when fewer are free
 * @lock: protects the members after it
 * @used: the slots in use, or being written
 * @cursor: where to look for the next free one
 * @low: the event for little room was raised
 */
struct cbw_fleece {
	u32 *map;
	u64 nr_slots;
	u64 low_water;
	spinlock_t lock;	/* see above */
	struct dm_live_bitmap *used;
	u64 cursor;
	bool low;
};

static u32 *create_map(u64 nr_blocks)
{
	u64 i;
	u32 *map;

	if (nr_blocks > SIZE_MAX / sizeof(*map))
		return NULL;
	/* However large the device is: too much is an error, not a warning. */
	map = __vmalloc(nr_blocks * sizeof(*map), GFP_KERNEL | __GFP_NOWARN);
	if (!map)
		return NULL;
	for (i = 0; i < nr_blocks; i++)
		map[i] = CBW_SLOT_NONE;
	return map;
}

struct cbw_fleece *cbw_fleece_create(struct cbw_session *session,
				     sector_t nr_sectors)
{
	struct cbw_fleece *fleece;
	u64 nr_slots = nr_sectors >> session->block_shift;

	/*
	 * Never more than one for each block, and a number that u32 holds. The
	 * one after the last is not CBW_SLOT_ZERO: a block of zeros does not
	 * follow upon the last slot.
	 */
	nr_slots = min3(nr_slots, session->nr_blocks, (u64)CBW_SLOT_ZERO - 1);
	if (!nr_slots)
		return ERR_PTR(-ENOSPC);
	fleece = kzalloc(sizeof(*fleece), GFP_KERNEL);
	if (!fleece)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&fleece->lock);
	fleece->nr_slots = nr_slots;
	/* Rounded up: fewer than a half is none. */
	fleece->low_water =
		DIV_ROUND_UP_ULL(nr_slots * session->config.low_water_percent,
				 100);
	fleece->used = dm_live_bitmap_create(nr_slots);
	fleece->map = create_map(session->nr_blocks);
	if (!fleece->used || !fleece->map) {
		cbw_fleece_destroy(fleece);
		return ERR_PTR(-ENOMEM);
	}
	return fleece;
}

void cbw_fleece_destroy(struct cbw_fleece *fleece)
{
	if (!fleece)
		return;
	vfree(fleece->map);
	dm_live_bitmap_destroy(fleece->used);
	kfree(fleece);
}

u64 cbw_fleece_used(const struct cbw_fleece *fleece)
{
	return dm_live_bitmap_weight(fleece->used);
}

u64 cbw_fleece_total(const struct cbw_fleece *fleece)
{
	return fleece->nr_slots;
}

/* True when the room has just become little. */
static bool check_low(struct cbw_fleece *fleece)
{
	bool low = fleece->nr_slots - cbw_fleece_used(fleece) <
		   fleece->low_water;
	bool changed = low && !fleece->low;

	lockdep_assert_held(&fleece->lock);
	fleece->low = low;
	return changed;
}

unsigned int cbw_fleece_alloc(struct cbw_session *session, unsigned int nr,
			      u32 *slot)
{
	struct cbw_fleece *fleece = session->fleece;
	bool became_low = false;
	unsigned long flags;
	u64 first, end;

	spin_lock_irqsave(&fleece->lock, flags);
	first = dm_live_bitmap_next_clear(fleece->used, fleece->cursor,
					  fleece->nr_slots);
	if (first == fleece->nr_slots)
		first = dm_live_bitmap_next_clear(fleece->used, 0,
						  fleece->nr_slots);
	if (first == fleece->nr_slots) {
		nr = 0;
	} else {
		end = min(first + nr, fleece->nr_slots);
		end = dm_live_bitmap_next_set(fleece->used, first, end);
		nr = end - first;
		dm_live_bitmap_set_range(fleece->used, first, nr);
		fleece->cursor = end == fleece->nr_slots ? 0 : end;
		*slot = first;
		became_low = check_low(fleece);
	}
	spin_unlock_irqrestore(&fleece->lock, flags);

	if (became_low) {
		DMWARN_LIMIT("%s: the fleece device has less than %u percent of its slots free",
			     session->name, session->config.low_water_percent);
		cbw_raise_event(session);
	}
	return nr;
}

void cbw_fleece_free(struct cbw_session *session, u32 slot)
{
	struct cbw_fleece *fleece = session->fleece;
	unsigned long flags;

	if (slot >= fleece->nr_slots)
		return;
	spin_lock_irqsave(&fleece->lock, flags);
	dm_live_bitmap_clear_range(fleece->used, slot, 1);
	check_low(fleece);
	spin_unlock_irqrestore(&fleece->lock, flags);
}

void cbw_fleece_set(struct cbw_fleece *fleece, u64 block, u32 slot)
{
	fleece->map[block] = slot;
}

u32 cbw_fleece_get(const struct cbw_fleece *fleece, u64 block)
{
	return fleece->map[block];
}
