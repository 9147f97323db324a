// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmap store: the directory and the in-use protocol.
 *
 * The order of marking bitmaps in use, or not in use any more, is QEMU's: the
 * autoclear bit is cleared, the directory is rewritten, the bit is set again, with a
 * flush after each. A crash in between would leave an image whose bitmaps count as
 * lost, so the state extension says UPDATING before the bit is cleared and until it
 * is set again: with it, a clear bit does not put the bitmaps in question. (The state
 * extension is in the same sector as the bit, unless QEMU has moved it.)
 *
 * The seal (qcow2/seal.h) means nothing while bitmaps are in use. So it is written
 * before they stop being in use, together with the first of these steps, and broken
 * after they are in use, together with the last one. Neither costs a flush.
 *
 * All of it runs in the store's ordered workqueue, or before and after its life.
 */
#include <linux/device-mapper.h>
#include <linux/random.h>

#include "store-internal.h"

#define DM_MSG_PREFIX "live"

/*
 * Return: the bytes at @offset, in their @buffer, to be changed and then given to
 * end_edit(). They do not reach into another buffer.
 */
static void *begin_edit(struct dm_live_store *store, u64 offset,
			struct dm_buffer **buffer)
{
	void *data = dm_bufio_read(store->bufio, offset >> store->buffer_bits,
				   buffer);

	if (IS_ERR(data)) {
		dm_live_store_fail(store, PTR_ERR(data));
		return data;
	}
	return data + (offset & ((1ULL << store->buffer_bits) - 1));
}

static void end_edit(struct dm_buffer *buffer)
{
	dm_bufio_mark_buffer_dirty(buffer);
	dm_bufio_release(buffer);
}

static int edit_buffer(struct dm_live_store *store, u64 offset,
		       void (*edit)(void *at, u32 value), u32 value)
{
	struct dm_buffer *buffer;
	void *at = begin_edit(store, offset, &buffer);

	if (IS_ERR(at))
		return PTR_ERR(at);
	edit(at, value);
	end_edit(buffer);
	return 0;
}

static void edit_flags(void *at, u32 value)
{
	qcow2_store_set_flags(at, value);
}

/* This also clears the number of the last closing. */
static void edit_autoclear(void *at, u32 value)
{
	qcow2_store_set_autoclear(at, value);
}

static int write_state(struct dm_live_store *store, u32 flags)
{
	return edit_buffer(store, store->header.state_offset, edit_flags,
			   flags) ?: dm_live_store_sync(store);
}

static int write_autoclear(struct dm_live_store *store, bool valid)
{
	return edit_buffer(store, 0, edit_autoclear, valid) ?:
	       dm_live_store_sync(store);
}

static int edit_bytes(struct dm_live_store *store, u64 offset,
		      const void *from, size_t bytes)
{
	struct dm_buffer *buffer;
	void *at = begin_edit(store, offset, &buffer);

	if (IS_ERR(at))
		return PTR_ERR(at);
	memcpy(at, from, bytes);
	end_edit(buffer);
	return 0;
}

int dm_live_store_write_bytes(struct dm_live_store *store, u64 offset,
			      const void *from, size_t bytes)
{
	if (store->failed)
		return -EIO;
	return edit_bytes(store, offset, from, bytes) ?:
	       dm_live_store_sync(store);
}

/* Changes the buffers only, if there is a seal to be written. */
static int edit_seal(struct dm_live_store *store)
{
	u8 sector[QCOW2_DMLIVE_SEAL_BYTES];
	int r;

	if (!store->seal_is_due)
		return 0;
	qcow2_seal_encode(sector, &store->seal);
	r = edit_bytes(store, store->header.seal_offset, sector,
		       sizeof(sector));
	if (!r)
		store->seal_is_due = false;
	return r;
}

int dm_live_store_edit_flags(struct dm_live_store *store,
			     struct dm_live_store_bitmap *bitmap, u32 flags)
{
	int r;

	r = edit_buffer(store, store->header.directory_offset +
			       bitmap->entry.flags_offset, edit_flags, flags);
	if (!r)
		bitmap->entry.flags = flags;
	return r;
}

static int edit_in_use(struct dm_live_store *store, void *context)
{
	const bool *in_use = context;
	u32 i;
	int r = 0;

	/* dm-bufio may write the buffers at any time from here on. */
	if (!*in_use)
		store->marked = false;
	for (i = 0; !r && i < store->header.nr_bitmaps; i++) {
		struct dm_live_store_bitmap *bitmap = &store->bitmaps[i];
		u32 flags = bitmap->entry.flags & ~QCOW2_BITMAP_IN_USE;

		if (*in_use)
			flags |= QCOW2_BITMAP_IN_USE;
		if (bitmap->bitmap)
			r = dm_live_store_edit_flags(store, bitmap, flags);
	}
	return r;
}

/*
 * The bit is set and UPDATING cleared by one write if they share a sector. If this is a
 * closing, its number is written with the bit: all else is durable already.
 */
static int end_update(struct dm_live_store *store, u32 flags)
{
	struct dm_buffer *buffer;
	void *header;
	int r = edit_seal(store);

	if (r)
		return r;
	header = begin_edit(store, 0, &buffer);
	if (IS_ERR(header))
		return PTR_ERR(header);
	qcow2_store_set_autoclear(header, true);
	qcow2_store_set_closing(header, store->closing);
	end_edit(buffer);
	if (store->header.state_offset >> SECTOR_SHIFT)
		r = dm_live_store_sync(store);
	return r ?: write_state(store, flags);
}

int dm_live_store_update(struct dm_live_store *store,
			 int (*edit)(struct dm_live_store *store, void *context),
			 void *context, bool tracking)
{
	u32 flags = (store->header.state_flags &
		     ~(QCOW2_DMLIVE_UPDATING | QCOW2_DMLIVE_TRACKING)) |
		    QCOW2_DMLIVE_USED;
	u32 during = flags | QCOW2_DMLIVE_UPDATING;

	/* It means nothing for bitmaps that are not in use, so it can be set early. */
	if (store->tracking)
		during |= QCOW2_DMLIVE_TRACKING;
	if (tracking)
		flags |= QCOW2_DMLIVE_TRACKING;
	return write_state(store, during) ?:
	       /* crash: the bit is set, UPDATING has no effect */
	       write_autoclear(store, false) ?:
	       /* crash: to QEMU there are no bitmaps; to us they are good */
	       edit(store, context) ?:
	       dm_live_store_sync(store) ?:
	       /* crash: the same, with the directory as it was or as it will be */
	       end_update(store, flags);
}

u64 dm_live_store_closing(const struct dm_live_store *store)
{
	return store->closing;
}
EXPORT_SYMBOL_GPL(dm_live_store_closing);

bool dm_live_store_is_as_closed(const struct dm_live_store *store, u64 closing)
{
	return closing && store->header.closing == closing;
}
EXPORT_SYMBOL_GPL(dm_live_store_is_as_closed);

static u64 random_closing(void)
{
	u64 closing;

	do {
		closing = get_random_u64() & QCOW2_AUTOCLEAR_CLOSING_MAX;
	} while (!closing);
	return closing;
}

static int set_in_use(struct dm_live_store *store, bool in_use)
{
	int r = in_use ? 0 : edit_seal(store);

	return r ?: dm_live_store_update(store, edit_in_use, &in_use,
					 in_use && store->tracking);
}

bool dm_live_store_was_used(const struct dm_live_store *store)
{
	return store->header.state_flags & QCOW2_DMLIVE_USED;
}
EXPORT_SYMBOL_GPL(dm_live_store_was_used);

/*
 * Stores that may be written to. Two on one device would overwrite each other's bits;
 * device mapper lets any number of mapped devices open it.
 */
static DEFINE_MUTEX(claim_lock);
static LIST_HEAD(claimed_stores);

int dm_live_store_claim(struct dm_live_store *store)
{
	struct dm_live_store *other;
	int r = 0;

	/* An earlier failure does not count any more, even if this is refused. */
	WRITE_ONCE(store->failed, false);
	mutex_lock(&claim_lock);
	list_for_each_entry(other, &claimed_stores, claim_link)
		if (other != store &&
		    other->params.meta->bd_dev == store->params.meta->bd_dev)
			r = -EBUSY;
	if (r)
		DMERR("%s: metadata device: another target uses it",
		      store->params.name);
	else if (list_empty(&store->claim_link))
		list_add(&store->claim_link, &claimed_stores);
	mutex_unlock(&claim_lock);
	return r;
}
EXPORT_SYMBOL_GPL(dm_live_store_claim);

void dm_live_store_release(struct dm_live_store *store)
{
	if (!dm_live_store_is_claimed(store))
		return;
	/* Whatever is left in the buffers must not be written later. */
	if (store->bufio)
		dm_bufio_client_reset(store->bufio);
	mutex_lock(&claim_lock);
	list_del_init(&store->claim_link);
	mutex_unlock(&claim_lock);
}
EXPORT_SYMBOL_GPL(dm_live_store_release);

bool dm_live_store_is_marked(const struct dm_live_store *store)
{
	return store->marked;
}
EXPORT_SYMBOL_GPL(dm_live_store_is_marked);

int dm_live_store_activate(struct dm_live_store *store)
{
	int r = 0;

	if (WARN_ON_ONCE(!dm_live_store_is_claimed(store)))
		return -EBUSY;
	store->failed = false;
	store->closing = 0;
	store->in_flight = false;
	store->nr_staged = 0;
	/* Recovered bits are durable before the state says that none are missing. */
	if (!store->params.data)
		r = dm_live_store_commit_now(store);
	r = r ?: set_in_use(store, true);
	if (r)
		return r;
	store->marked = true;
	if (dm_live_store_any_dirty(store))
		dm_live_store_changed(store);
	return 0;
}
EXPORT_SYMBOL_GPL(dm_live_store_activate);

int dm_live_store_deactivate(struct dm_live_store *store)
{
	blk_status_t status;
	int r;

	cancel_delayed_work_sync(&store->timer_work);
	status = dm_live_store_commit_wait(store);
	/* The timer may have asked for one more. */
	flush_workqueue(store->wq);
	r = blk_status_to_errno(status);
	if (r)
		DMERR("%s: metadata device: the last commit failed: the bitmaps stay marked as in use",
		      store->params.name);
	if (!r) {
		store->closing = random_closing();
		r = set_in_use(store, false);
	}
	if (r)
		store->closing = 0;
	dm_live_store_release(store);
	return r;
}
EXPORT_SYMBOL_GPL(dm_live_store_deactivate);
