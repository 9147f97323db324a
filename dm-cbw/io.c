// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's I/O: what is remapped at once, and which writes wait for blocks to be
 * copied.
 *
 * Nothing here sleeps or allocates. A write that must wait is kept in the session's tree
 * of waiters until all its blocks are copied, the session has broken, a copy has failed,
 * or it times out. Then it is submitted without any lock held: what it overwrites is
 * copied, and views find it in the store.
 */
#include <linux/blkdev.h>
#include <linux/ktime.h>

#include "blocks.h"
#include "cbw.h"
#include "io.h"
#include "state.h"
#include "track-durable.h"
#include "track-record.h"
#include "track.h"
#include "waiters.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/submit.h"

/* A discard or write-zeroes waits in pieces of this size. */
#define MAX_ZERO_BYTES	(64u << 20)

/* The timer is set no further ahead than this; it sets itself again. */
#define MAX_TIMER_NS	(3600ULL * NSEC_PER_SEC)

static struct cbw_waiter *waiter_of(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct cbw_waiter));
}

static u64 timeout_ns(const struct cbw_session *session)
{
	return min_t(u64, session->config.timeout_ms,
		     S64_MAX / 2 / NSEC_PER_MSEC) * NSEC_PER_MSEC;
}

static void arm_timer(struct cbw_session *session, u64 deadline_ns)
{
	u64 now_ns = ktime_get_ns();
	u64 wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

	queue_delayed_work(session->submit_wq, &session->timeout_work,
			   nsecs_to_jiffies(min_t(u64, wait_ns, MAX_TIMER_NS)) + 1);
}

static u64 deadline_of(const struct cbw_session *session,
		       const struct cbw_waiter *waiter)
{
	u64 deadline_ns = waiter->deadline_ns;

	if (waiter->patient)
		deadline_ns = max(deadline_ns,
				  session->progress_ns + timeout_ns(session));
	return deadline_ns;
}

static void timeout_work(struct work_struct *work)
{
	struct cbw_session *session = container_of(to_delayed_work(work),
						   struct cbw_session,
						   timeout_work);
	u64 now_ns = ktime_get_ns(), next_ns = U64_MAX, deadline_ns;
	bool fail = session->config.on_cbw_error == CBW_BREAK_GUEST_WRITE;
	struct cbw_waiter *waiter, *next;
	bool is_too_late = false;
	LIST_HEAD(expired);

	spin_lock_irq(&session->lock);
	list_for_each_entry_safe(waiter, next, &session->by_age, age) {
		deadline_ns = deadline_of(session, waiter);
		if (deadline_ns > now_ns) {
			next_ns = min(next_ns, deadline_ns);
		} else if (fail) {
			cbw_remove_waiter(session, waiter);
			list_add_tail(&waiter->age, &expired);
		} else {
			is_too_late = true;
		}
	}
	if (next_ns != U64_MAX)
		arm_timer(session, next_ns);
	spin_unlock_irq(&session->lock);

	if (is_too_late)
		cbw_session_break(session, "a copy took longer than cbw_timeout");
	if (list_empty(&expired))
		return;
	DMERR_LIMIT("%s: guest writes fail: their copies take longer than cbw_timeout (%llu ms)",
		    session->name, session->config.timeout_ms);
	cbw_fail_all(&expired, BLK_STS_TIMEOUT);
}

/* Keep the write until its blocks are copied. Returns false if they already are. */
static bool wait_for_copy(struct cbw_session *session, struct bio *bio,
			  u64 first, u64 last)
{
	struct cbw_waiter *waiter = waiter_of(bio);
	unsigned long flags;
	bool waits = false;

	spin_lock_irqsave(&session->lock, flags);
	if (session->state == CBW_ACTIVE &&
	    !cbw_is_all_copied(session, first, last)) {
		waiter->first = first;
		waiter->last = last;
		cbw_waiter_tree_insert(waiter, &session->waiters);
		list_add_tail(&waiter->link, &session->fresh);
		if (session->config.timeout_ms) {
			waiter->deadline_ns = ktime_get_ns() +
					      timeout_ns(session);
			waiter->patient = bio_op(bio) != REQ_OP_WRITE;
			if (list_empty(&session->by_age))
				arm_timer(session, waiter->deadline_ns);
		}
		list_add_tail(&waiter->age, &session->by_age);
		cbw_cow_kick(session);
		waits = true;
	}
	spin_unlock_irqrestore(&session->lock, flags);
	return waits;
}

static void trim(const struct cbw_session *session, struct bio *bio, u64 end)
{
	sector_t nr_sectors = cbw_end_sector(session, end) -
			      bio->bi_iter.bi_sector;

	if (nr_sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, nr_sectors);
}

/* The most blocks that a guest write waits for at a time. */
static u64 max_wait_blocks(const struct cbw_session *session,
			   const struct bio *bio)
{
	return bio_op(bio) == REQ_OP_WRITE ?
	       cbw_copy_blocks(session) :
	       cbw_sector_to_block(session, MAX_ZERO_BYTES >> SECTOR_SHIFT);
}

static int map_write(struct cbw_session *session, struct bio *bio)
{
	u64 first = cbw_sector_to_block(session, bio->bi_iter.bi_sector);
	u64 end = cbw_sector_to_block(session, bio_end_sector(bio) - 1) + 1;
	u64 max_blocks = max_wait_blocks(session, bio);
	u64 next = dm_live_bitmap_next_set(session->todo, first, end);

	if (likely(next == end))
		return DM_MAPIO_REMAPPED;
	if (next - first >= max_blocks) {
		trim(session, bio, next);
		return DM_MAPIO_REMAPPED;
	}
	end = min(end, first + max_blocks);
	trim(session, bio, end);
	if (!wait_for_copy(session, bio, next, end - 1))
		return DM_MAPIO_REMAPPED;
	atomic64_inc(&session->cow_writes);
	return DM_MAPIO_SUBMITTED;
}

/* Record the write. Returns false if it was parked instead. */
static bool record(struct cbw_table *table, struct bio *bio)
{
	struct cbw_session *session = table->session;

	if (cbw_track_record(table->track, bio->bi_iter.bi_sector,
			     bio_sectors(bio)))
		return true;
	/* cbw_map_again() cannot split it any more. */
	if (session && cbw_is(session, CBW_ACTIVE))
		trim(session, bio,
		     cbw_sector_to_block(session, bio->bi_iter.bi_sector) +
		     max_wait_blocks(session, bio));
	cbw_track_park(table->track, bio);
	return false;
}

static int map_session(struct cbw_table *table, struct bio *bio)
{
	struct cbw_session *session = table->session;

	if (!session)
		return DM_MAPIO_REMAPPED;
	if (!cbw_is(session, CBW_ACTIVE)) {
		/*
		 * A view that reads what this write writes must see the state, too:
		 * pairs with cbw_view_is_valid().
		 */
		smp_mb();
		return DM_MAPIO_REMAPPED;
	}
	return map_write(session, bio);
}

int cbw_map(struct dm_target *ti, struct bio *bio)
{
	struct cbw_table *table = ti->private;

	bio_set_dev(bio, table->origin->bdev);
	if (!op_is_write(bio_op(bio)) || !bio_sectors(bio))
		return DM_MAPIO_REMAPPED;
	/* The block layer does not stop stacked devices from writing to it. */
	if (table->track && table->track->read_only)
		return DM_MAPIO_KILL;
	/* Discards and write-zeroes are writes here. */
	if (table->track && !record(table, bio))
		return DM_MAPIO_SUBMITTED;
	return map_session(table, bio);
}

int cbw_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct cbw_table *table = ti->private;

	/* With these two errors the flush was not tried. */
	if (unlikely(*error) && table->track && op_is_flush(bio->bi_opf) &&
	    *error != BLK_STS_AGAIN && *error != BLK_STS_DM_REQUEUE)
		cbw_track_flush_failed(table->track);
	return DM_ENDIO_DONE;
}

void cbw_map_again(struct cbw_table *table, struct bio *bio)
{
	if (!cbw_track_record(table->track, bio->bi_iter.bi_sector,
			      bio_sectors(bio))) {
		cbw_track_park(table->track, bio);
		return;
	}
	if (map_session(table, bio) == DM_MAPIO_REMAPPED)
		dm_live_submit_deferred(bio);
}

void cbw_io_init(struct cbw_session *session)
{
	session->waiters = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&session->fresh);
	INIT_LIST_HEAD(&session->told);
	INIT_LIST_HEAD(&session->by_age);
	bio_list_init(&session->submit);
	INIT_WORK(&session->submit_work, cbw_submit_work);
	INIT_DELAYED_WORK(&session->timeout_work, timeout_work);
}
