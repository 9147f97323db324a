// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fleece store: slots of one block each on a device of any size, allocated on
 * demand.
 *
 * The map from blocks to slots is in memory only, see fleece-map.c: it is lost when the
 * session ends.
 */
#include <linux/bits.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "cbw.h"
#include "event.h"
#include "fleece-map.h"
#include "fleece.h"
#include "dm-live/core/bitmap.h"

/* Slots to scan before cond_resched(). */
#define SCAN_SLOTS	BIT_ULL(20)

/**
 * struct cbw_fleece - the store of a session
 * @nr_slots: number of slots
 * @low_water: an event is raised when fewer slots are free
 * @lock: protects the members after it; @used and @cursor may be read without
 * @map: the slots that hold a block
 * @used: slots in use or being written
 * @cursor: where to look for the next free slot
 * @low: the event for @low_water was raised
 */
struct cbw_fleece {
	u64 nr_slots;
	u64 low_water;
	spinlock_t lock;	/* see above */
	struct cbw_fleece_map *map;
	struct dm_live_bitmap *used;
	u32 cursor;
	bool low;
};

struct cbw_fleece *cbw_fleece_create(struct cbw_session *session,
				     sector_t nr_sectors)
{
	struct cbw_fleece *fleece;
	u64 nr_slots = nr_sectors >> session->block_shift;

	/*
	 * At most one for each block, and a number that fits in a u32. The number
	 * after the last slot is not CBW_SLOT_ZERO either: a block of zeros must
	 * not look like the continuation of a run of slots.
	 */
	nr_slots = min3(nr_slots, session->nr_blocks, (u64)CBW_SLOT_ZERO - 1);
	if (!nr_slots)
		return ERR_PTR(-ENOSPC);
	fleece = kzalloc(sizeof(*fleece), GFP_KERNEL);
	if (!fleece)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&fleece->lock);
	fleece->nr_slots = nr_slots;
	/* Rounded up, so that a small device has a low-water mark, too. */
	fleece->low_water =
		DIV_ROUND_UP_ULL(nr_slots * session->config.low_water_percent,
				 100);
	fleece->used = dm_live_bitmap_create(nr_slots);
	fleece->map = cbw_fleece_map_create(session->nr_blocks, nr_slots);
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
	cbw_fleece_map_destroy(fleece->map);
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

/* True if free slots have just fallen below the low-water mark. */
static bool check_low(struct cbw_fleece *fleece)
{
	bool low = fleece->nr_slots - cbw_fleece_used(fleece) <
		   fleece->low_water;
	bool changed = low && !fleece->low;

	lockdep_assert_held(&fleece->lock);
	fleece->low = low;
	return changed;
}

/* Returns a slot in [slot, end) that was free a moment ago, or @end. */
static u64 scan(const struct cbw_fleece *fleece, u64 slot, u64 end)
{
	while (slot < end) {
		u64 stop = min(slot + SCAN_SLOTS, end);

		slot = dm_live_bitmap_next_clear(fleece->used, slot, stop);
		if (slot < stop)
			return slot;
		cond_resched();
	}
	return end;
}

static u64 find_free(const struct cbw_fleece *fleece)
{
	u64 cursor = READ_ONCE(fleece->cursor);
	u64 slot = scan(fleece, cursor, fleece->nr_slots);

	if (slot == fleece->nr_slots) {
		slot = scan(fleece, 0, cursor);
		if (slot == cursor)
			return fleece->nr_slots;
	}
	return slot;
}

/* Take up to @nr slots from @first on. Returns 0 if @first is taken already. */
static unsigned int take(struct cbw_fleece *fleece, u64 first, unsigned int nr)
{
	u64 end = min(first + nr, fleece->nr_slots);

	lockdep_assert_held(&fleece->lock);
	end = dm_live_bitmap_next_set(fleece->used, first, end);
	dm_live_bitmap_set_range(fleece->used, first, end - first);
	if (end > first)
		WRITE_ONCE(fleece->cursor, end == fleece->nr_slots ? 0 : end);
	return end - first;
}

unsigned int cbw_fleece_alloc(struct cbw_session *session, unsigned int nr,
			      u32 *slot)
{
	struct cbw_fleece *fleece = session->fleece;
	bool is_full = false, became_low = false;
	unsigned int taken = 0;
	unsigned long flags;
	u64 first;

	/* The search takes no lock, so take() tests again what it finds. */
	while (!taken && !is_full) {
		first = find_free(fleece);
		spin_lock_irqsave(&fleece->lock, flags);
		if (first < fleece->nr_slots)
			taken = take(fleece, first, nr);
		else
			is_full = cbw_fleece_used(fleece) == fleece->nr_slots;
		became_low = taken && check_low(fleece);
		spin_unlock_irqrestore(&fleece->lock, flags);
	}
	*slot = first;

	if (became_low) {
		DMWARN_LIMIT("%s: the fleece device has less than %u percent of its slots free",
			     session->name, session->config.low_water_percent);
		cbw_raise_event(session);
	}
	return taken;
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
	unsigned long flags;

	if (slot >= fleece->nr_slots)
		return;
	spin_lock_irqsave(&fleece->lock, flags);
	cbw_fleece_map_set(fleece->map, block, slot);
	spin_unlock_irqrestore(&fleece->lock, flags);
}

u32 cbw_fleece_get(struct cbw_fleece *fleece, u64 block)
{
	unsigned long flags;
	u32 slot;

	spin_lock_irqsave(&fleece->lock, flags);
	slot = cbw_fleece_map_get(fleece->map, block);
	spin_unlock_irqrestore(&fleece->lock, flags);
	return slot == CBW_SLOT_NONE ? CBW_SLOT_ZERO : slot;
}

u32 cbw_fleece_take(struct cbw_fleece *fleece, u64 block)
{
	unsigned long flags;
	u32 slot;

	spin_lock_irqsave(&fleece->lock, flags);
	slot = cbw_fleece_map_take(fleece->map, block);
	spin_unlock_irqrestore(&fleece->lock, flags);
	return slot;
}
