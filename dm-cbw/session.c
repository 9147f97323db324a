// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a session, and the registry in which views find it. For its states see
 * state.c.
 *
 * A session keeps its state over suspend and resume. It ends when its table is
 * destroyed, if not before, when another table of the mapped device is resumed;
 * after that, guest writes are not copied. Between the last suspend and the end the
 * gate is shut: views wait, then fail. So no view reads an origin that is written to
 * without copies.
 *
 * The registry has each session from its first resume until no I/O of it to its store
 * is in flight. That may be long after its gate was closed for good, since a store
 * may hang. Until then no other session may use the store: late writes of the old
 * session would overwrite what the new one keeps there.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>

#include "blocks.h"
#include "cbw.h"
#include "cow.h"
#include "event.h"
#include "fleece.h"
#include "gate.h"
#include "io.h"
#include "job.h"
#include "session.h"
#include "state.h"
#include "view-io.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"
#include "dm-live/core/memory.h"
#include "dm-live/core/range-lock.h"

static DEFINE_MUTEX(registry_mutex);
static LIST_HEAD(registry);

/* Each bio enters again, since the gate may be shut again. */
static void view_work(struct work_struct *work)
{
	struct cbw_session *session = container_of(work, struct cbw_session,
						   view_work);
	struct bio_list bios;
	struct bio *bio;

	cbw_take_view_bios(session, &bios);
	while ((bio = bio_list_pop(&bios)))
		cbw_view_dispatch(bio);
}

static struct cbw_session *find(dev_t devt)
{
	struct cbw_session *session;

	lockdep_assert_held(&registry_mutex);
	list_for_each_entry(session, &registry, link)
		if (session->devt == devt && !cbw_gate_has_ended(session))
			return session;
	return NULL;
}

static bool uses(const struct cbw_session *session,
		 const struct block_device *bdev)
{
	return bdev && (bdev == session->store_bdev ||
			bdev == session->target_bdev);
}

static bool shares_store(const struct cbw_session *a,
			 const struct cbw_session *b)
{
	return uses(a, b->store_bdev) || uses(a, b->target_bdev);
}

/* Returns the live session of another mapped device that uses the same store. */
static struct cbw_session *find_rival(const struct cbw_session *session)
{
	struct cbw_session *other;

	lockdep_assert_held(&registry_mutex);
	list_for_each_entry(other, &registry, link)
		if (other->devt != session->devt && !cbw_gate_has_ended(other) &&
		    !cbw_is(other, CBW_BROKEN) && shares_store(other, session))
			return other;
	return NULL;
}

static bool has_rival(const struct cbw_session *session)
{
	bool has;

	mutex_lock(&registry_mutex);
	has = find_rival(session);
	mutex_unlock(&registry_mutex);
	return has;
}

struct cbw_session *cbw_session_find(dev_t devt)
{
	struct cbw_session *session;

	mutex_lock(&registry_mutex);
	session = find(devt);
	if (session) {
		kref_get(&session->ref);
		atomic_inc(&session->nr_views);
	}
	mutex_unlock(&registry_mutex);
	return session;
}

void cbw_session_put_view(struct cbw_session *session)
{
	atomic_dec(&session->nr_views);
	cbw_session_put(session);
}

bool cbw_session_is_viewed(dev_t devt)
{
	struct cbw_session *session;
	bool viewed;

	mutex_lock(&registry_mutex);
	session = find(devt);
	viewed = session && atomic_read(&session->nr_views) &&
		 !cbw_is(session, CBW_BROKEN);
	mutex_unlock(&registry_mutex);
	return viewed;
}

/* Under the mutex, so that cbw_session_find() does not find it after that. */
static void shut_for_good(struct cbw_session *session)
{
	mutex_lock(&registry_mutex);
	cbw_set_gate(session, CBW_GATE_ENDED);
	mutex_unlock(&registry_mutex);
}

static void unregister(struct cbw_session *session)
{
	mutex_lock(&registry_mutex);
	list_del_init(&session->link);
	mutex_unlock(&registry_mutex);
}

static bool no_copies(struct cbw_session *session)
{
	bool none;

	spin_lock_irq(&session->lock);
	none = !session->nr_copying;
	spin_unlock_irq(&session->lock);
	return none;
}

/*
 * Make way for a new session. The old one is suspended, but its table still exists.
 * Reads of the store by its views may be in flight; the new session may overwrite what
 * they read, so they are invalid from now on.
 */
static void supersede(const struct cbw_session *session)
{
	struct cbw_session *other;

	lockdep_assert_held(&registry_mutex);
	other = find(session->devt);
	if (!other)
		return;
	__cbw_session_break(other, "a new session begins", true);
	cbw_set_gate(other, CBW_GATE_ENDED);
}

/* Returns a session that is over, but has copies to the same store in flight. */
static struct cbw_session *find_late(const struct cbw_session *session)
{
	struct cbw_session *other;

	lockdep_assert_held(&registry_mutex);
	list_for_each_entry(other, &registry, link)
		if (shares_store(other, session) && !no_copies(other))
			return other;
	return NULL;
}

/* Add the session to the registry once no other session uses its store. */
static int enter_registry(struct cbw_session *session)
{
	struct cbw_session *other;
	int r = 0;

	mutex_lock(&registry_mutex);
	supersede(session);
	while (!r) {
		other = find_rival(session);
		if (other) {
			DMERR("%s: the session of %s uses the same target or fleece device",
			      session->name, other->name);
			r = -EBUSY;
			break;
		}
		other = find_late(session);
		if (!other) {
			list_add(&session->link, &registry);
			break;
		}
		kref_get(&other->ref);
		mutex_unlock(&registry_mutex);
		r = wait_event_killable(other->wait, no_copies(other));
		cbw_session_put(other);
		mutex_lock(&registry_mutex);
	}
	mutex_unlock(&registry_mutex);
	return r;
}

int cbw_session_activate(struct cbw_session *session)
{
	int r;

	if (session->state != CBW_NEW)
		return 0;
	r = enter_registry(session);
	if (r)
		return r;
	spin_lock_irq(&session->lock);
	/* It may have been cancelled in the meantime. */
	if (session->state == CBW_NEW)
		cbw_set_state(session, CBW_ACTIVE);
	spin_unlock_irq(&session->lock);
	return 0;
}

void cbw_session_resume(struct cbw_session *session)
{
	spin_lock_irq(&session->lock);
	session->running = true;
	if (!list_empty(&session->fresh))
		cbw_cow_kick(session);
	spin_unlock_irq(&session->lock);
	cbw_set_gate(session, CBW_GATE_OPEN);
	queue_work(session->submit_wq, &session->view_work);
	cbw_job_kick(session);
}

static bool no_copy_reads(struct cbw_session *session)
{
	bool none;

	spin_lock_irq(&session->lock);
	none = !session->nr_reading;
	spin_unlock_irq(&session->lock);
	return none;
}

void cbw_session_suspend(struct cbw_session *session)
{
	cbw_set_gate(session, CBW_GATE_SHUT);
	spin_lock_irq(&session->lock);
	session->running = false;
	spin_unlock_irq(&session->lock);
	wait_event(session->wait, no_copy_reads(session));
	/* In a broken session all I/O of views fails, whatever it reads. */
	wait_event(session->wait, cbw_no_view_at_origin(session) ||
		   cbw_is(session, CBW_BROKEN));
}

void cbw_session_end(struct cbw_session *session)
{
	struct bio_list bios;
	unsigned int i;
	struct bio *bio;

	if (session->state == CBW_ACTIVE)
		__cbw_session_break(session, "the session ends with its table",
				    true);
	shut_for_good(session);
	cbw_take_view_bios(session, &bios);
	while ((bio = bio_list_pop(&bios)))
		cbw_view_fail(bio);
	wait_event(session->wait, cbw_no_view_io(session));

	if (session->job_wq) {
		for (i = 0; i < session->job.nr_workers; i++)
			cancel_delayed_work_sync(&session->job.workers[i].work);
		destroy_workqueue(session->job_wq);
	}
	if (session->cow_wq)
		destroy_workqueue(session->cow_wq);
	if (session->submit_wq) {
		cancel_delayed_work_sync(&session->timeout_work);
		/* A pending event is still raised: the table still exists. */
		destroy_workqueue(session->submit_wq);
	}
	unregister(session);
	dm_live_copier_destroy(session->copier);
	dm_live_copier_destroy(session->transfer_copier);
}

static void release(struct kref *ref)
{
	struct cbw_session *session = container_of(ref, struct cbw_session,
						   ref);

	cbw_fleece_destroy(session->fleece);
	dm_live_range_lock_destroy(session->ranges);
	if (session->left != session->todo)
		dm_live_bitmap_destroy(session->left);
	dm_live_bitmap_destroy(session->todo);
	dm_live_bitmap_destroy(session->scope);
	kvfree(session);
}

void cbw_session_put(struct cbw_session *session)
{
	kref_put(&session->ref, release);
}

static int allocate(struct cbw_session *session, struct cbw_table *table)
{
	session->scope = dm_live_bitmap_create(session->nr_blocks);
	session->todo = dm_live_bitmap_create(session->nr_blocks);
	session->left = table->fleece && table->target ?
			dm_live_bitmap_create(session->nr_blocks) :
			session->todo;
	session->ranges = dm_live_range_lock_create();
	if (!session->scope || !session->todo || !session->left ||
	    !session->ranges)
		return -ENOMEM;
	dm_live_bitmap_set_range_slowly(session->scope, 0, session->nr_blocks);
	dm_live_bitmap_set_range_slowly(session->todo, 0, session->nr_blocks);
	dm_live_bitmap_set_range_slowly(session->left, 0, session->nr_blocks);

	if (table->fleece) {
		struct cbw_fleece *fleece =
			cbw_fleece_create(session,
					  bdev_nr_sectors(session->store_bdev));

		if (IS_ERR(fleece))
			return PTR_ERR(fleece);
		session->fleece = fleece;
	}
	return 0;
}

static int make_copier(const struct cbw_session *session,
		       struct dm_live_copier **result)
{
	struct dm_live_copier *copier;

	copier = dm_live_copier_create(max_t(size_t, CBW_COPY_BYTES,
					     cbw_block_bytes(session)));
	if (IS_ERR(copier))
		return PTR_ERR(copier);
	*result = copier;
	return 0;
}

static int make_workers(struct cbw_session *session)
{
	int r = make_copier(session, &session->copier);

	if (!r && session->fleece && session->target_bdev)
		r = make_copier(session, &session->transfer_copier);
	if (r)
		return r;
	/* A workqueue each, so that none waits for a thread of another. */
	session->cow_wq = alloc_workqueue("cbw_cow",
					  WQ_UNBOUND | WQ_MEM_RECLAIM,
					  CBW_COW_WORKERS);
	session->job_wq = alloc_workqueue("cbw_job",
					  WQ_UNBOUND | WQ_MEM_RECLAIM,
					  CBW_MAX_JOB_WORKERS + 1);
	session->submit_wq = alloc_workqueue("cbw_submit",
					     WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!session->cow_wq || !session->job_wq || !session->submit_wq)
		return -ENOMEM;
	return 0;
}

struct cbw_session *cbw_session_create(struct cbw_table *table)
{
	struct dm_target *ti = table->ti;
	struct cbw_session *session;
	int r;

	session = dm_live_zalloc_large(sizeof(*session));
	if (!session) {
		ti->error = "Cannot allocate the session";
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&session->ref);
	INIT_LIST_HEAD(&session->link);
	session->devt = disk_devt(dm_disk(dm_table_get_md(ti->table)));
	strscpy(session->name, dm_table_device_name(ti->table),
		sizeof(session->name));
	session->config = table->config;
	session->ti = ti;
	session->origin = table->origin->bdev;
	session->target_bdev = table->target ? table->target->bdev : NULL;
	session->store_bdev = table->fleece ? table->fleece->bdev :
					      session->target_bdev;
	session->nr_sectors = ti->len;
	session->block_shift = table->block_shift;
	session->nr_blocks = DIV_ROUND_UP_ULL(ti->len,
					      1ULL << table->block_shift);
	spin_lock_init(&session->lock);
	spin_lock_init(&session->view_lock);
	bio_list_init(&session->view_bios);
	init_waitqueue_head(&session->wait);
	INIT_WORK(&session->event_work, cbw_event_work);
	INIT_WORK(&session->view_work, view_work);
	cbw_io_init(session);
	cbw_cow_init(session);
	cbw_job_init(session);

	if (has_rival(session)) {
		ti->error = "Another device's session uses the target or fleece device";
		kvfree(session);
		return ERR_PTR(-EBUSY);
	}
	r = allocate(session, table) ?: make_workers(session);
	if (r) {
		ti->error = r == -ENOSPC ?
			    "The fleece device is smaller than one block" :
			    "Cannot allocate memory for the session";
		cbw_session_end(session);
		cbw_session_put(session);
		return ERR_PTR(r);
	}
	return session;
}
