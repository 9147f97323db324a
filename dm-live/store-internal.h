/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_STORE_INTERNAL_H
#define DM_LIVE_STORE_INTERNAL_H

/*
 * What store-open.c (reading and checking), store-bits.c (reading bits), store.c
 * (commits), store-use.c (the directory, in use or not) and store-track.c (for change
 * tracking) share.
 */

#include <linux/dm-bufio.h>
#include <linux/workqueue.h>

#include "qcow2/seal.h"
#include "qcow2/structures.h"
#include "store.h"

/* Pages of bits that are staged at a time. */
#define DM_LIVE_STORE_STAGE_PAGES	256u
#define DM_LIVE_STORE_STAGE_BYTES \
	(DM_LIVE_STORE_STAGE_PAGES * DM_LIVE_BITMAP_PAGE_BYTES)

struct dm_live_store_bitmap {
	struct qcow2_store_bitmap entry;
	u64 *clusters;			/* where the bits are, 0: not allocated; in a room */
	struct dm_live_bitmap *bitmap;	/* attached, or NULL */
	/*
	 * A bit for each page that is as it was read, but may not be durable. NULL:
	 * none; always so in a store without a data device.
	 */
	struct dm_live_bitmap *as_read;
};

/*
 * What is read of the structures, or made from them; each has its own memory. Those of
 * enum qcow2_store_part come first.
 */
enum dm_live_room_of {
	DM_LIVE_ROOM_HEADER = QCOW2_STORE_NR_PARTS,
	DM_LIVE_ROOM_BITMAPS,
	DM_LIVE_NR_ROOMS,
};

struct dm_live_room {
	void *memory;
	u64 bytes;
};

struct dm_live_staged {
	struct dm_live_store_bitmap *bitmap;
	u64 page;
};

struct dm_live_store {
	struct dm_live_store_params params;
	struct dm_bufio_client *bufio;
	unsigned int buffer_bits;	/* log2 of the bytes in a buffer */
	u32 cluster_bits;	/* as it was found last */
	struct qcow2_store_header header;
	/* As read; valid if header.generations_offset is not 0. */
	u8 generations[QCOW2_DMLIVE_GENERATIONS_BYTES];
	/* As read, or as it is to be written; valid if header.seal_offset is not 0. */
	struct qcow2_seal seal;
	bool seal_is_due;	/* see dm_live_store_set_seal() */
	void *directory;			/* in a room, as @bitmaps */
	struct dm_live_store_bitmap *bitmaps;	/* header.nr_bitmaps */
	struct dm_live_room rooms[DM_LIVE_NR_ROOMS];

	bool tracking;
	bool failed;
	bool marked;	/* see dm_live_store_is_marked() */
	/*
	 * Pages were taken out of the bitmaps and are not known to be durable.
	 * Set before their dirty flags are cleared, see
	 * dm_live_store_is_clean().
	 */
	bool in_flight;
	/* A failed flush of the data that the writers do not know of, or 0. */
	int unreported;
	atomic_t changing;	/* see dm_live_store_begin_change() */
	struct list_head claim_link;	/* while it is claimed */

	struct workqueue_struct *wq;
	struct work_struct commit_work;
	struct delayed_work timer_work;
	spinlock_t lock;		/* protects waiters */
	struct list_head waiters;
	u64 closing;		/* see dm_live_store_closing() */
	void *stage;		/* of commits; and for what is read, when inactive */
	struct dm_live_staged *staged;
	unsigned int nr_staged;
};

/**
 * dm_live_store_update - change the directory
 * @edit: changes it in buffers
 * @tracking: whether the state says TRACKING afterwards
 *
 * In QEMU's order, see store-use.c. In the workqueue, or before and after its life.
 */
int dm_live_store_update(struct dm_live_store *store,
			 int (*edit)(struct dm_live_store *store, void *context),
			 void *context, bool tracking);

/** dm_live_store_write_bytes - durably, within one buffer. In the workqueue. */
int dm_live_store_write_bytes(struct dm_live_store *store, u64 offset,
			      const void *data, size_t bytes);

/** dm_live_store_edit_flags - in buffers */
int dm_live_store_edit_flags(struct dm_live_store *store,
			     struct dm_live_store_bitmap *bitmap, u32 flags);

/**
 * dm_live_store_write_bitmap - make what has changed of one bitmap durable
 * In the workqueue. Not for stores with a data device.
 */
int dm_live_store_write_bitmap(struct dm_live_store *store,
			       struct dm_live_store_bitmap *bitmap);

/** dm_live_store_is_claimed - may it be written to? For its owner. */
static inline bool dm_live_store_is_claimed(const struct dm_live_store *store)
{
	return !list_empty(&store->claim_link);
}

/** dm_live_store_fail - writing has failed: nothing is written any more */
void dm_live_store_fail(struct dm_live_store *store, int r);

/** dm_live_store_sync - write what is in the buffers, and flush the metadata device */
int dm_live_store_sync(struct dm_live_store *store);

/** dm_live_store_commit_now - in the workqueue, or before and after its life */
int dm_live_store_commit_now(struct dm_live_store *store);

/** dm_live_store_any_dirty - does any attached bitmap have a page to be written? */
bool dm_live_store_any_dirty(const struct dm_live_store *store);

/** dm_live_store_init_commits - for a new store */
void dm_live_store_init_commits(struct dm_live_store *store);

/**
 * dm_live_store_read_bits - load all bits of an attached bitmap
 * @how: which bits are the truth; pages that may not be durable are marked as dirty
 */
int dm_live_store_read_bits(struct dm_live_store *store,
			    struct dm_live_store_bitmap *bitmap,
			    enum dm_live_attach how);

/**
 * dm_live_store_read_to_stage - read a part of the device to the start of the stage
 * @offset: in bytes; it and @bytes, at most a stage full, are multiples of a logical
 *	block
 * What is wrong is logged. Not while the store is active.
 */
int dm_live_store_read_to_stage(struct dm_live_store *store, u64 offset,
				u64 bytes);

/** dm_live_store_find - a bitmap by its name, or NULL */
struct dm_live_store_bitmap *dm_live_store_find(struct dm_live_store *store,
						const char *name);

/** dm_live_store_locate - where byte @offset of a bitmap's bits is; 0: nowhere */
u64 dm_live_store_locate(const struct dm_live_store *store,
			 const struct dm_live_store_bitmap *bitmap, u64 offset);

#endif /* DM_LIVE_STORE_INTERNAL_H */
