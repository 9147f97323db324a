/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_FLEECE_H
#define DM_CBW_FLEECE_H

/* The fleece store: slots of one block each. */

#include <linux/limits.h>
#include <linux/types.h>

struct cbw_fleece;
struct cbw_session;

/* No slot. */
#define CBW_SLOT_NONE	U32_MAX
/* No slot needed: the block is zero. A copied block without a slot is zero, too. */
#define CBW_SLOT_ZERO	(U32_MAX - 1)

/** cbw_fleece_create - Context: may sleep. Return: the store or an ERR_PTR. */
struct cbw_fleece *cbw_fleece_create(struct cbw_session *session,
				     sector_t nr_sectors);
void cbw_fleece_destroy(struct cbw_fleece *fleece);

/**
 * cbw_fleece_alloc - allocate up to @nr consecutive slots
 * @slot: out: the first
 * Context: may sleep. Return: the number of slots; 0: all are in use.
 */
unsigned int cbw_fleece_alloc(struct cbw_session *session, unsigned int nr,
			      u32 *slot);

/** cbw_fleece_free - free a slot. CBW_SLOT_NONE and CBW_SLOT_ZERO are ignored. */
void cbw_fleece_free(struct cbw_session *session, u32 slot);

/**
 * cbw_fleece_set - record that the old data of a block is in @slot, or zero
 * Under the exclusive range lock of the block. Any context.
 */
void cbw_fleece_set(struct cbw_fleece *fleece, u64 block, u32 slot);

/**
 * cbw_fleece_get - the slot of a block that is copied and left, or CBW_SLOT_ZERO
 * Under its range lock, shared or exclusive, or with cbw_session.lock held. Any context.
 */
u32 cbw_fleece_get(struct cbw_fleece *fleece, u64 block);

/**
 * cbw_fleece_take - remove a block from the map
 * Under the exclusive range lock of the block. Any context. The caller frees the slot.
 * Return: the slot, or CBW_SLOT_NONE: it had none.
 */
u32 cbw_fleece_take(struct cbw_fleece *fleece, u64 block);

u64 cbw_fleece_used(const struct cbw_fleece *fleece);
u64 cbw_fleece_total(const struct cbw_fleece *fleece);

#endif /* DM_CBW_FLEECE_H */
