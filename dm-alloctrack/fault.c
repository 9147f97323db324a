// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults: guest I/O that waits for the user server.
 *
 * A fault is queued under the lock, after the bits were tested again under it. A
 * fill by the server serves the waiting reads, writes to the volume, sets the bits,
 * and then serves the reads once more. A fault that was queued between the two
 * passes gets its data in the second one, and a later one sees the bits. So no
 * fault is left behind.
 *
 * A read keeps a bit in @want for each block that it still needs. To copy into its
 * bio, a fill takes the bits of its blocks out of @want and counts as a user. So
 * several fills can copy at the same time, each block is copied once, and the last
 * user completes the bio.
 *
 * A read gets the data that arrive for it even if a guest write has allocated the
 * block in the meantime: the two run concurrently, and either order is correct.
 */
#include <linux/blkdev.h>
#include <linux/interval_tree_generic.h>

#include "alloctrack.h"
#include "blocks.h"
#include "fault.h"
#include "per-bio.h"
#include "submit.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"

#define START(fault) ((fault)->first)
#define LAST(fault) ((fault)->last)

INTERVAL_TREE_DEFINE(struct at_fault, rb, u64, subtree_last, START, LAST,
		     static, fault_tree)

static struct at_io *io_of(struct at_fault *fault)
{
	return container_of(fault, struct at_io, fault);
}

static struct bio *bio_of(struct at_fault *fault)
{
	return at_bio_of(io_of(fault));
}

static bool is_read(struct at_fault *fault)
{
	return bio_op(bio_of(fault)) == REQ_OP_READ;
}

/* Take the fault out of all lists: from here on the caller owns its bio. */
static void take_out(struct at_faults *faults, struct at_fault *fault)
{
	lockdep_assert_held(&faults->lock);
	fault_tree_remove(fault, &faults->tree);
	list_del(&fault->link);
	faults->count--;
}

static void end_fault(struct at_fault *fault, blk_status_t status)
{
	struct bio *bio = bio_of(fault);

	bio->bi_status = status;
	bio_endio(bio);
}

/*
 * Complete faults that were taken out and whose status is set. A write whose block
 * has been allocated in the meantime no longer needs the server.
 */
static void end_failed(struct at_device *device, struct list_head *failed)
{
	struct at_fault *fault, *next;

	list_for_each_entry_safe(fault, next, failed, link) {
		if (!is_read(fault) &&
		    dm_live_bitmap_test(device->bitmap, fault->first))
			at_defer(io_of(fault)->table, bio_of(fault));
		else
			end_fault(fault, fault->status);
	}
}

/*
 * End a fault with an error. If a fill is copying into it, the fill completes the
 * bio. Returns true when the caller has to complete it.
 */
static bool cancel(struct at_faults *faults, struct at_fault *fault,
		   blk_status_t status)
{
	lockdep_assert_held(&faults->lock);
	fault->want = 0;
	fault->status = status;
	if (fault->users)
		return false;
	take_out(faults, fault);
	return true;
}

/*
 * Must I/O not wait for the server now? Then it ends with @status. Requeueing is
 * possible only while device mapper allows it: after an interrupted suspend, I/O
 * arrives before presuspend_undo.
 */
static bool is_refused(struct at_device *device, struct at_table *table,
		       blk_status_t *status)
{
	struct at_faults *faults = &device->faults;

	lockdep_assert_held(&faults->lock);
	*status = faults->noflush ? BLK_STS_DM_REQUEUE : BLK_STS_IOERR;
	if (!faults->refuse)
		return false;
	return faults->noflush ? dm_noflush_suspending(table->ti) :
				 !device->server;
}

static void arm_timeout(struct at_faults *faults, struct at_fault *fault)
{
	unsigned long timeout_s = io_of(fault)->table->user_timeout_s;

	if (timeout_s)
		schedule_delayed_work(&faults->timeout_work, timeout_s * HZ);
}

bool at_fault_queue(struct at_io *io, struct bio *bio, unsigned int nr_sectors)
{
	struct at_device *device = io->table->device;
	struct at_faults *faults = &device->faults;
	struct at_fault *fault = &io->fault;
	u64 end = io->first + io->nr;
	blk_status_t status;

	fault->first = io->first;
	fault->last = end - 1;
	fault->want = GENMASK_ULL(io->nr - 1, 0);
	fault->users = 0;
	fault->status = BLK_STS_OK;
	fault->queued_jiffies = jiffies;

	spin_lock(&faults->lock);
	if (dm_live_bitmap_next_set(device->bitmap, io->first, end) != end) {
		spin_unlock(&faults->lock);
		return false;
	}
	/* The bio can be completed as soon as the lock is dropped. */
	if (nr_sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, nr_sectors);
	if (is_refused(device, io->table, &status)) {
		spin_unlock(&faults->lock);
		end_fault(fault, status);
		return true;
	}
	fault_tree_insert(fault, &faults->tree);
	list_add_tail(&fault->link, &faults->fresh);
	faults->count++;
	arm_timeout(faults, fault);
	spin_unlock(&faults->lock);

	wake_up_all(&device->wait);
	return true;
}

/* The blocks that @fault and [first, last] have in common, as bits of want. */
static u64 common_blocks(const struct at_fault *fault, u64 first, u64 last)
{
	u64 from = max(fault->first, first) - fault->first;
	u64 to = min(fault->last, last) - fault->first;

	return GENMASK_ULL(to, from);
}

/* The next read that wants some of [first, last], with these taken from it. */
static struct at_fault *claim(struct at_faults *faults, u64 first, u64 last,
			      u64 *blocks)
{
	struct at_fault *fault;

	lockdep_assert_held(&faults->lock);
	for (fault = fault_tree_iter_first(&faults->tree, first, last); fault;
	     fault = fault_tree_iter_next(fault, first, last)) {
		*blocks = fault->want & common_blocks(fault, first, last);
		if (!is_read(fault) || !*blocks)
			continue;
		fault->want &= ~*blocks;
		fault->users++;
		return fault;
	}
	return NULL;
}

/* Copy the part of one block that the bio wants out of the data that arrived. */
static void give_block(struct at_device *device, struct bio *bio, u64 block,
		       u64 first, const struct dm_live_data *data)
{
	sector_t from = max(at_block_to_sector(device, block),
			    bio->bi_iter.bi_sector);
	sector_t to = min(at_end_sector(device, block + 1),
			  bio_end_sector(bio));
	sector_t data_from = from - at_block_to_sector(device, first);

	dm_live_data_to_bio(bio,
			    (from - bio->bi_iter.bi_sector) << SECTOR_SHIFT,
			    data, data_from << SECTOR_SHIFT,
			    (to - from) << SECTOR_SHIFT);
}

void at_faults_serve(struct at_device *device, u64 first, u64 nr,
		     const struct dm_live_data *data)
{
	struct at_faults *faults = &device->faults;
	struct at_fault *fault;
	u64 blocks;
	bool last_user;
	unsigned int bit;

	spin_lock(&faults->lock);
	while ((fault = claim(faults, first, first + nr - 1, &blocks))) {
		spin_unlock(&faults->lock);
		for (bit = 0; bit < AT_FAULT_BLOCKS; bit++)
			if (blocks & BIT_ULL(bit))
				give_block(device, bio_of(fault),
					   fault->first + bit, first, data);
		spin_lock(&faults->lock);
		last_user = !--fault->users && !fault->want;
		if (last_user) {
			take_out(faults, fault);
			spin_unlock(&faults->lock);
			end_fault(fault, fault->status);
			spin_lock(&faults->lock);
		}
	}
	spin_unlock(&faults->lock);
}

void at_faults_settle(struct at_device *device, u64 first, u64 nr,
		      blk_status_t status)
{
	struct at_faults *faults = &device->faults;
	struct at_fault *fault, *next;
	LIST_HEAD(ready);
	LIST_HEAD(failed);

	spin_lock(&faults->lock);
	for (fault = fault_tree_iter_first(&faults->tree, first,
					   first + nr - 1); fault;
	     fault = next) {
		next = fault_tree_iter_next(fault, first, first + nr - 1);
		if (is_read(fault))
			continue;
		if (dm_live_bitmap_test(device->bitmap, fault->first)) {
			take_out(faults, fault);
			list_add_tail(&fault->link, &ready);
		} else if (status) {
			take_out(faults, fault);
			fault->status = status;
			list_add_tail(&fault->link, &failed);
		}
	}
	spin_unlock(&faults->lock);

	list_for_each_entry_safe(fault, next, &ready, link)
		at_defer(io_of(fault)->table, bio_of(fault));
	end_failed(device, &failed);
}

void at_faults_fail(struct at_device *device, u64 first, u64 nr,
		    blk_status_t status)
{
	struct at_faults *faults = &device->faults;
	struct at_fault *fault, *next;
	LIST_HEAD(failed);

	spin_lock(&faults->lock);
	for (fault = fault_tree_iter_first(&faults->tree, first,
					   first + nr - 1); fault;
	     fault = next) {
		next = fault_tree_iter_next(fault, first, first + nr - 1);
		if (cancel(faults, fault, status))
			list_add_tail(&fault->link, &failed);
	}
	spin_unlock(&faults->lock);
	end_failed(device, &failed);
}

static void cancel_list(struct at_faults *faults, struct list_head *list,
			blk_status_t status, struct list_head *failed)
{
	struct at_fault *fault, *next;

	list_for_each_entry_safe(fault, next, list, link)
		if (cancel(faults, fault, status))
			list_add_tail(&fault->link, failed);
}

/* There is no server, and no I/O may wait for one. */
static void refuse_all(struct at_faults *faults, blk_status_t status,
		       struct list_head *failed)
{
	cancel_list(faults, &faults->told, status, failed);
	cancel_list(faults, &faults->fresh, status, failed);
}

/* Fail the overdue faults of a list. Returns the time when the next one is due, or 0. */
static unsigned long expire(struct at_faults *faults, struct list_head *list,
			    struct list_head *failed)
{
	struct at_fault *fault, *next;

	list_for_each_entry_safe(fault, next, list, link) {
		unsigned long timeout_s = io_of(fault)->table->user_timeout_s;
		unsigned long due = fault->queued_jiffies + timeout_s * HZ;

		if (!timeout_s)
			continue;
		if (time_before(jiffies, due))
			return due ?: 1;
		if (cancel(faults, fault, BLK_STS_TIMEOUT))
			list_add_tail(&fault->link, failed);
	}
	return 0;
}

static void timeout_work(struct work_struct *work)
{
	struct at_faults *faults = container_of(to_delayed_work(work),
						struct at_faults, timeout_work);
	struct at_device *device = container_of(faults, struct at_device,
						faults);
	unsigned long told, fresh;
	LIST_HEAD(failed);

	spin_lock(&faults->lock);
	told = expire(faults, &faults->told, &failed);
	fresh = expire(faults, &faults->fresh, &failed);
	if (told && (!fresh || time_before(told, fresh)))
		fresh = told;
	/* A fault that was queued just now may have armed the timer for a later time. */
	if (fresh) {
		cancel_delayed_work(&faults->timeout_work);
		schedule_delayed_work(&faults->timeout_work,
				      time_after(fresh, jiffies) ?
				      fresh - jiffies : 1);
	}
	spin_unlock(&faults->lock);

	if (!list_empty(&failed))
		DMERR_LIMIT("I/O failed: no server supplied the data within user_timeout");
	end_failed(device, &failed);
}

unsigned int at_faults_tell(struct at_device *device,
			    struct dm_alloctrack_range *ranges,
			    unsigned int max)
{
	struct at_faults *faults = &device->faults;
	struct at_fault *fault, *next;
	unsigned int nr = 0;

	spin_lock(&faults->lock);
	list_for_each_entry_safe(fault, next, &faults->fresh, link) {
		sector_t start = at_block_to_sector(device, fault->first);

		if (nr == max)
			break;
		list_move_tail(&fault->link, &faults->told);
		ranges[nr].offset = (u64)start << SECTOR_SHIFT;
		ranges[nr].length = (u64)(at_end_sector(device,
							fault->last + 1) -
					  start) << SECTOR_SHIFT;
		nr++;
	}
	spin_unlock(&faults->lock);
	return nr;
}

/* Faults that were reported are older than those that were not. */
static void untell(struct at_faults *faults)
{
	lockdep_assert_held(&faults->lock);
	list_splice_init(&faults->told, &faults->fresh);
}

void at_faults_untell(struct at_device *device)
{
	struct at_faults *faults = &device->faults;

	spin_lock(&faults->lock);
	untell(faults);
	spin_unlock(&faults->lock);
}

bool at_faults_pending(struct at_device *device)
{
	struct at_faults *faults = &device->faults;
	bool pending;

	spin_lock(&faults->lock);
	pending = !list_empty(&faults->fresh);
	spin_unlock(&faults->lock);
	return pending;
}

int at_faults_attach(struct at_device *device, void *server)
{
	struct at_faults *faults = &device->faults;
	int r = 0;

	spin_lock(&faults->lock);
	if (device->server)
		r = -EBUSY;
	else
		device->server = server;
	spin_unlock(&faults->lock);
	return r;
}

void at_faults_detach(struct at_device *device)
{
	struct at_faults *faults = &device->faults;
	LIST_HEAD(failed);

	spin_lock(&faults->lock);
	device->server = NULL;
	untell(faults);
	if (faults->refuse && !faults->noflush)
		refuse_all(faults, BLK_STS_IOERR, &failed);
	spin_unlock(&faults->lock);
	end_failed(device, &failed);
}

void at_faults_suspend(struct at_device *device, bool noflush)
{
	struct at_faults *faults = &device->faults;
	LIST_HEAD(failed);

	spin_lock(&faults->lock);
	faults->refuse = true;
	faults->noflush = noflush;
	if (noflush)
		refuse_all(faults, BLK_STS_DM_REQUEUE, &failed);
	else if (!device->server)
		refuse_all(faults, BLK_STS_IOERR, &failed);
	spin_unlock(&faults->lock);
	end_failed(device, &failed);
}

void at_faults_resume(struct at_device *device)
{
	struct at_faults *faults = &device->faults;

	spin_lock(&faults->lock);
	faults->refuse = false;
	/* The timer is armed for the former table's timeout; the work arms it again. */
	cancel_delayed_work(&faults->timeout_work);
	if (faults->count)
		schedule_delayed_work(&faults->timeout_work, 0);
	spin_unlock(&faults->lock);
}

void at_faults_init(struct at_device *device)
{
	struct at_faults *faults = &device->faults;

	spin_lock_init(&faults->lock);
	faults->tree = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&faults->fresh);
	INIT_LIST_HEAD(&faults->told);
	INIT_DELAYED_WORK(&faults->timeout_work, timeout_work);
}

void at_faults_exit(struct at_device *device)
{
	cancel_delayed_work_sync(&device->faults.timeout_work);
	WARN_ON_ONCE(device->faults.count);
}
