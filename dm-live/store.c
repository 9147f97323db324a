// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmap store: commits. How a store is marked as in use, and as closed, is in
 * store-use.c.
 *
 * The order of a commit. Each page with a dirty flag: (1) its flag is cleared and its
 * bits are copied to the stage; they are bits of completed writes only. (2) The data
 * device is flushed: now the data of these bits are durable. (3) The stage is copied
 * to buffers, which may be written from here on whenever dm-bufio likes, and are
 * written and (4) flushed at the end. (5) The waiters are told. Staging comes before
 * the flush: a bit that was set after the flush might stand for data that are not
 * durable. If the store was not closed, the pages that are only written again come
 * before all this; they need no flush.
 *
 * A crash leaves, for each sector of bits, the old or the new ones; both are
 * true.
 *
 * Everything that writes runs in one ordered workqueue, or before and after its
 * life. So there is one commit at a time.
 */
#include <linux/blkdev.h>
#include <linux/device-mapper.h>

#include "store-internal.h"

#define DM_MSG_PREFIX "live"

/* Changes are durable after this at the latest. */
#define COMMIT_PERIOD	HZ

struct dm_live_store_bitmap *dm_live_store_find(struct dm_live_store *store,
						const char *name)
{
	u32 i;

	for (i = 0; i < store->header.nr_bitmaps; i++)
		if (qcow2_store_name_is(&store->bitmaps[i].entry, name))
			return &store->bitmaps[i];
	return NULL;
}

int dm_live_store_check(struct dm_live_store *store, const char *name,
			u64 granularity_bytes)
{
	struct dm_live_store_bitmap *bitmap = dm_live_store_find(store, name);

	if (!bitmap) {
		DMERR("%s: metadata device: there is no bitmap '%s'",
		      store->params.name, name);
		return -EINVAL;
	}
	if (1ULL << bitmap->entry.granularity_bits != granularity_bytes) {
		DMERR("%s: metadata device: bitmap '%s' has a granularity of %llu bytes, not %llu",
		      store->params.name, name,
		      1ULL << bitmap->entry.granularity_bits,
		      granularity_bytes);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(dm_live_store_check);

int dm_live_store_attach(struct dm_live_store *store, const char *name,
			 u64 granularity_bytes, struct dm_live_bitmap *bitmap,
			 enum dm_live_attach how, bool *was_in_use)
{
	struct dm_live_store_bitmap *found;
	int r;

	r = dm_live_store_check(store, name, granularity_bytes);
	if (r)
		return r;
	found = dm_live_store_find(store, name);
	found->bitmap = bitmap;
	*was_in_use = found->entry.flags & QCOW2_BITMAP_IN_USE;
	if (how == DM_LIVE_ATTACH_SAME && !*was_in_use)
		return 0;
	if (how == DM_LIVE_ATTACH_SAME ||
	    (how == DM_LIVE_ATTACH_IMPOSE && !*was_in_use))
		how = DM_LIVE_ATTACH_KEEP;
	r = dm_live_store_read_bits(store, found, how);
	if (r)
		found->bitmap = NULL;
	return r;
}
EXPORT_SYMBOL_GPL(dm_live_store_attach);

bool dm_live_store_has_failed(const struct dm_live_store *store)
{
	return READ_ONCE(store->failed);
}
EXPORT_SYMBOL_GPL(dm_live_store_has_failed);

/* From here on nothing is written, until the store is activated again. */
void dm_live_store_fail(struct dm_live_store *store, int r)
{
	if (store->failed)
		return;
	DMERR("%s: metadata device: write error %d: read-only from now on",
	      store->params.name, r);
	WRITE_ONCE(store->failed, true);
	if (store->params.failed)
		store->params.failed(store->params.context);
}

/* Write what is in the buffers, and flush the metadata device. */
int dm_live_store_sync(struct dm_live_store *store)
{
	int r;

	WARN_ON_ONCE(!dm_live_store_is_claimed(store));
	r = dm_bufio_write_dirty_buffers(store->bufio);
	if (r)
		dm_live_store_fail(store, r);
	return r;
}

/* Clear the dirty flags of up to a stage full of pages, and copy their bits. */
static void stage_bitmap(struct dm_live_store *store,
			 struct dm_live_store_bitmap *bitmap, u64 *page)
{
	u64 nr_pages = dm_live_bitmap_nr_pages(bitmap->bitmap);

	*page = dm_live_bitmap_next_dirty(bitmap->bitmap, *page);
	while (*page < nr_pages &&
	       store->nr_staged < DM_LIVE_STORE_STAGE_PAGES) {
		struct dm_live_staged *staged =
			&store->staged[store->nr_staged];

		staged->bitmap = bitmap;
		staged->page = *page;
		dm_live_bitmap_stage_page(bitmap->bitmap, *page,
					  store->stage + store->nr_staged *
					  DM_LIVE_BITMAP_PAGE_BYTES);
		store->nr_staged++;
		*page = dm_live_bitmap_next_dirty(bitmap->bitmap, *page + 1);
	}
}

static int write_staged_page(struct dm_live_store *store,
			     const struct dm_live_staged *staged,
			     const void *bits)
{
	const u64 piece_bytes = 1ULL << store->buffer_bits;
	u64 offset = staged->page * DM_LIVE_BITMAP_PAGE_BYTES;
	u64 done, at;

	for (done = 0; done < DM_LIVE_BITMAP_PAGE_BYTES; done += piece_bytes) {
		struct dm_buffer *buffer;
		void *data;

		at = dm_live_store_locate(store, staged->bitmap, offset + done);
		if (!at)
			continue;	/* past the end of a short bitmap */
		data = dm_bufio_new(store->bufio, at >> store->buffer_bits,
				    &buffer);
		if (IS_ERR(data))
			return PTR_ERR(data);
		memcpy(data, bits + done, piece_bytes);
		dm_bufio_mark_buffer_dirty(buffer);
		dm_bufio_release(buffer);
	}
	return 0;
}

static void unstage(struct dm_live_store *store)
{
	while (store->nr_staged) {
		struct dm_live_staged *staged =
			&store->staged[--store->nr_staged];

		dm_live_bitmap_mark_dirty(staged->bitmap->bitmap, staged->page);
	}
}

static int flush_data(struct dm_live_store *store)
{
	const struct dm_live_store_params *params = &store->params;

	if (!params->data)
		return 0;
	return params->flush_data ? params->flush_data(params->context) :
				    blkdev_issue_flush(params->data);
}

/* Steps 2 and 3 of a commit. */
static int write_stage(struct dm_live_store *store)
{
	unsigned int i;
	int r;

	r = flush_data(store);
	if (r) {
		DMERR_LIMIT("%s: flush of the data device: error %d",
			    store->params.name, r);
		unstage(store);
		return r;
	}
	for (i = 0; i < store->nr_staged; i++) {
		r = write_staged_page(store, &store->staged[i],
				      store->stage +
				      i * DM_LIVE_BITMAP_PAGE_BYTES);
		if (r) {
			dm_live_store_fail(store, r);
			unstage(store);
			return r;
		}
	}
	store->nr_staged = 0;
	return 0;
}

void dm_live_store_begin_change(struct dm_live_store *store)
{
	preempt_disable();
	atomic_inc(&store->changing);
	/* Before any bit is seen. */
	smp_mb__after_atomic();
}
EXPORT_SYMBOL_GPL(dm_live_store_begin_change);

void dm_live_store_end_change(struct dm_live_store *store)
{
	/* After the dirty flags: partner in dm_live_store_is_clean(). */
	smp_mb__before_atomic();
	atomic_dec(&store->changing);
	preempt_enable();
}
EXPORT_SYMBOL_GPL(dm_live_store_end_change);

/*
 * Those who asked for the commit may have seen bits whose pages are not marked yet. A
 * change takes microseconds and is not preempted, so this ends soon.
 */
static void wait_for_changes(struct dm_live_store *store)
{
	while (atomic_read(&store->changing))
		cpu_relax();
	/* Read the dirty flags only now. */
	smp_mb();
}

/* Stage what has changed of a bitmap, and write whenever the stage is full. */
static int stage_all(struct dm_live_store *store,
		     struct dm_live_store_bitmap *bitmap, bool *flushed)
{
	u64 page = 0;
	int r;

	for (;;) {
		stage_bitmap(store, bitmap, &page);
		if (page >= dm_live_bitmap_nr_pages(bitmap->bitmap))
			return 0;
		r = write_stage(store);
		if (r)
			return r;
		*flushed = true;
	}
}

int dm_live_store_write_bitmap(struct dm_live_store *store,
			       struct dm_live_store_bitmap *bitmap)
{
	bool flushed;

	if (store->failed)
		return -EIO;
	return stage_all(store, bitmap, &flushed) ?:
	       write_stage(store) ?:
	       dm_live_store_sync(store);
}

/* Copy up to a stage full of pages that are as they were read, and unmark them. */
static void stage_as_read(struct dm_live_store *store,
			  struct dm_live_store_bitmap *bitmap)
{
	u64 nr_pages = dm_live_bitmap_nr_pages(bitmap->bitmap);
	u64 page = 0;

	while (store->nr_staged < DM_LIVE_STORE_STAGE_PAGES) {
		page = dm_live_bitmap_next_set(bitmap->as_read, page, nr_pages);
		if (page == nr_pages)
			return;
		dm_live_bitmap_clear_range(bitmap->as_read, page, 1);
		store->staged[store->nr_staged] = (struct dm_live_staged) {
			.bitmap = bitmap,
			.page = page,
		};
		dm_live_bitmap_copy_page(bitmap->bitmap, page, store->stage +
					 store->nr_staged *
					 DM_LIVE_BITMAP_PAGE_BYTES);
		store->nr_staged++;
	}
}

/*
 * Write the pages again that are as they were read. The data that they stand for were
 * flushed before the pages were written the first time. A bit that was set since, and
 * is in the copy, must not be written this way: whatever sets a bit marks its page as
 * dirty, and is waited for. Such a page is left to the rest of the commit, like all
 * dirty ones.
 */
static int rewrite_as_read(struct dm_live_store *store,
			   struct dm_live_store_bitmap *bitmap)
{
	unsigned int i;
	int r = 0;

	while (!r && bitmap->as_read && dm_live_bitmap_weight(bitmap->as_read)) {
		stage_as_read(store, bitmap);
		/* The bits before the count: partner in begin_change(). */
		smp_mb();
		wait_for_changes(store);
		for (i = 0; !r && i < store->nr_staged; i++) {
			u64 page = store->staged[i].page;

			if (dm_live_bitmap_is_dirty(bitmap->bitmap, page))
				continue;
			r = write_staged_page(store, &store->staged[i],
					      store->stage +
					      i * DM_LIVE_BITMAP_PAGE_BYTES);
		}
		store->nr_staged = 0;
	}
	if (r)
		dm_live_store_fail(store, r);
	return r;
}

/*
 * A commit. Each page is taken at most once, so it ends however many bits are set
 * meanwhile. When it fails, in_flight stays set, which keeps the store from looking
 * clean.
 */
int dm_live_store_commit_now(struct dm_live_store *store)
{
	bool flushed = false;
	u32 i;
	int r = 0;

	if (store->failed)
		return -EIO;
	WRITE_ONCE(store->in_flight, true);
	/* Before the flags are cleared: partner in dm_live_store_is_clean(). */
	smp_mb();
	wait_for_changes(store);
	for (i = 0; !r && i < store->header.nr_bitmaps; i++)
		if (store->bitmaps[i].bitmap)
			r = rewrite_as_read(store, &store->bitmaps[i]);
	for (i = 0; !r && i < store->header.nr_bitmaps; i++)
		if (store->bitmaps[i].bitmap)
			r = stage_all(store, &store->bitmaps[i], &flushed);
	if (r)
		return r;
	/* Even with nothing staged, the data still have to be flushed. */
	if (store->nr_staged || !flushed) {
		r = write_stage(store);
		if (r)
			return r;
	}
	r = dm_live_store_sync(store);
	if (r)
		return r;
	/* Partner in dm_live_store_is_clean(): all of it is durable. */
	smp_store_release(&store->in_flight, false);
	return 0;
}

bool dm_live_store_any_dirty(const struct dm_live_store *store)
{
	u32 i;

	for (i = 0; i < store->header.nr_bitmaps; i++) {
		const struct dm_live_bitmap *bitmap = store->bitmaps[i].bitmap;

		const struct dm_live_bitmap *as_read = store->bitmaps[i].as_read;

		if (bitmap && dm_live_bitmap_next_dirty(bitmap, 0) <
			      dm_live_bitmap_nr_pages(bitmap))
			return true;
		if (bitmap && as_read && dm_live_bitmap_weight(as_read))
			return true;
	}
	return false;
}

bool dm_live_store_is_durable(const struct dm_live_store *store)
{
	return !store->in_flight && !dm_live_store_any_dirty(store);
}
EXPORT_SYMBOL_GPL(dm_live_store_is_durable);

bool dm_live_store_is_clean(struct dm_live_store *store)
{
	if (store->failed || READ_ONCE(store->unreported) ||
	    atomic_read(&store->changing))
		return false;
	/* No change is under way: all have marked their pages. */
	smp_rmb();
	if (dm_live_store_any_dirty(store))
		return false;
	/*
	 * A flag that was seen clear may have been cleared by a commit: then
	 * in_flight is seen set, unless that commit is done.
	 */
	smp_rmb();
	return !READ_ONCE(store->in_flight);
}
EXPORT_SYMBOL_GPL(dm_live_store_is_clean);

bool dm_live_store_may_owe(const struct dm_live_store *store)
{
	return READ_ONCE(store->in_flight) || READ_ONCE(store->unreported);
}
EXPORT_SYMBOL_GPL(dm_live_store_may_owe);

/*
 * What to report to flushes after a commit that ended with @r: also the failure of an
 * earlier one that was reported to none of them.
 */
static int error_of_flushes(struct dm_live_store *store,
			    const struct list_head *waiters, int r)
{
	const struct dm_live_commit *waiter;
	bool told = false;

	/* A failure of the metadata is reported for good. */
	if (store->failed)
		return r;
	list_for_each_entry(waiter, waiters, link)
		told |= waiter->is_flush;
	r = r ?: store->unreported;
	WRITE_ONCE(store->unreported, told ? 0 : r);
	return r;
}

int dm_live_store_take_error(struct dm_live_store *store)
{
	int r = store->unreported;

	WRITE_ONCE(store->unreported, 0);
	return r;
}
EXPORT_SYMBOL_GPL(dm_live_store_take_error);

static void commit_work(struct work_struct *work)
{
	struct dm_live_store *store = container_of(work, struct dm_live_store,
						   commit_work);
	struct dm_live_commit *waiter, *next;
	LIST_HEAD(waiters);
	int r, for_flushes;

	spin_lock_irq(&store->lock);
	list_splice_init(&store->waiters, &waiters);
	spin_unlock_irq(&store->lock);

	r = dm_live_store_commit_now(store);
	for_flushes = error_of_flushes(store, &waiters, r);
	list_for_each_entry_safe(waiter, next, &waiters, link)
		waiter->done(waiter,
			     errno_to_blk_status(waiter->is_flush ?
						 for_flushes : r));
}

static void timer_work(struct work_struct *work)
{
	struct dm_live_store *store =
		container_of(to_delayed_work(work), struct dm_live_store,
			     timer_work);

	/*
	 * No commit runs now, so in_flight says that the last one failed. Leave the
	 * retry to a caller that can be told the result.
	 */
	if (!store->failed && !store->in_flight && dm_live_store_any_dirty(store))
		queue_work(store->wq, &store->commit_work);
}

void dm_live_store_changed(struct dm_live_store *store)
{
	if (!delayed_work_pending(&store->timer_work))
		queue_delayed_work(store->wq, &store->timer_work,
				   COMMIT_PERIOD);
}
EXPORT_SYMBOL_GPL(dm_live_store_changed);

static void ask(struct dm_live_store *store, struct dm_live_commit *commit,
		bool is_flush)
{
	unsigned long flags;

	commit->is_flush = is_flush;
	spin_lock_irqsave(&store->lock, flags);
	list_add_tail(&commit->link, &store->waiters);
	spin_unlock_irqrestore(&store->lock, flags);
	queue_work(store->wq, &store->commit_work);
}

void dm_live_store_commit(struct dm_live_store *store,
			  struct dm_live_commit *commit)
{
	ask(store, commit, false);
}
EXPORT_SYMBOL_GPL(dm_live_store_commit);

void dm_live_store_commit_flush(struct dm_live_store *store,
				struct dm_live_commit *commit)
{
	ask(store, commit, true);
}
EXPORT_SYMBOL_GPL(dm_live_store_commit_flush);

struct sync_commit {
	struct dm_live_commit commit;
	struct completion done;
	blk_status_t status;
};

static void sync_done(struct dm_live_commit *commit, blk_status_t status)
{
	struct sync_commit *sync = container_of(commit, struct sync_commit,
						commit);

	sync->status = status;
	complete(&sync->done);
}

blk_status_t dm_live_store_commit_wait(struct dm_live_store *store)
{
	struct sync_commit sync = {
		.commit.done = sync_done,
		.done = COMPLETION_INITIALIZER_ONSTACK(sync.done),
	};

	ask(store, &sync.commit, false);
	wait_for_completion_io(&sync.done);
	return sync.status;
}
EXPORT_SYMBOL_GPL(dm_live_store_commit_wait);

void dm_live_store_init_commits(struct dm_live_store *store)
{
	spin_lock_init(&store->lock);
	INIT_LIST_HEAD(&store->waiters);
	INIT_LIST_HEAD(&store->claim_link);
	INIT_WORK(&store->commit_work, commit_work);
	INIT_DELAYED_WORK(&store->timer_work, timer_work);
}
