// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmaps of a table's metadata device: loading, recovery after a crash, and
 * recording. See track.h for the promise and the locks.
 *
 * The constructor opens the store and checks it. Each resume reads it again: what
 * stands on disk is the truth, since the table that had it before has closed it, or
 * has left IN_USE, and then the recovery below adds what may be missing. Recovery: a
 * bitmap that was not closed gets all regions of the intent bitmap, outward to whole
 * bits; where nothing says that the intent bitmap was kept all the time (the state has
 * no TRACKING, or it is not in use itself, or missing, or cannot be read), all its
 * bits. These are durable before anything on disk says otherwise. With the policy
 * break_tracking there is none: so that what the guest writes never depends on the
 * metadata, on disk stands all the time that nobody knows what has changed. Whether
 * anybody wrote without tracking while the store was closed: track-gap.c.
 */
#include <linux/blkdev.h>
#include <linux/sched/mm.h>

#include "track.h"

/* Belongs to dm-alloctrack, whose bits mean something else. */
#define ALLOCTRACK_NAME	"alloctrack"

static void event_work(struct work_struct *work)
{
	struct cbw_track *track = container_of(work, struct cbw_track,
					       event_work);

	dm_table_event(track->table->ti->table);
}

static void store_failed(void *context)
{
	struct cbw_track *track = context;

	queue_work(track->wq, &track->event_work);
}

static void free_bitmap(struct cbw_bitmap *bitmap)
{
	dm_live_bitmap_destroy(bitmap->successor);
	dm_live_bitmap_destroy(bitmap->bits);
	kfree(bitmap->name);
	kfree(bitmap);
}

static void free_intent(struct cbw_track *track)
{
	dm_live_bitmap_destroy(track->intent);
	dm_live_bitmap_destroy(track->open);
	dm_live_bitmap_destroy(track->touched);
	track->intent = NULL;
	track->open = NULL;
	track->touched = NULL;
}

static void free_list(struct list_head *bitmaps)
{
	struct cbw_bitmap *bitmap, *next;

	list_for_each_entry_safe(bitmap, next, bitmaps, link)
		free_bitmap(bitmap);
}

static bool is_reserved(const struct qcow2_store_bitmap *entry)
{
	const size_t bytes = strlen(QCOW2_DMLIVE_RESERVED_PREFIX);

	return entry->name_bytes >= bytes &&
	       !memcmp(entry->name, QCOW2_DMLIVE_RESERVED_PREFIX, bytes);
}

/* What only looking at the store can tell. */
static int check_store(struct cbw_track *track)
{
	const char *name = track->table->config.bitmap;
	struct dm_target *ti = track->table->ti;
	const struct qcow2_store_bitmap *entry;

	if (dm_live_store_lookup(track->store, ALLOCTRACK_NAME)) {
		ti->error = "The metadata device is that of a restore";
		return -EINVAL;
	}
	if (!name)
		return 0;
	entry = dm_live_store_lookup(track->store, name);
	if (!entry || is_reserved(entry)) {
		ti->error = "The bitmap of the session is not on the metadata device";
		return -ENOENT;
	}
	if (!(entry->flags & QCOW2_BITMAP_AUTO)) {
		ti->error = "The bitmap of the session is disabled";
		return -EINVAL;
	}
	return 0;
}

struct cbw_bitmap *cbw_track_find(struct cbw_track *track, const char *name)
{
	struct cbw_bitmap *bitmap;

	lockdep_assert_held(&track->admin);
	list_for_each_entry(bitmap, &track->bitmaps, link)
		if (!strcmp(bitmap->name, name))
			return bitmap;
	return NULL;
}

static void add_recorder(struct cbw_recorders *recorders,
			 const struct cbw_bitmap *bitmap,
			 struct dm_live_bitmap *bits)
{
	recorders->list[recorders->nr].shift = bitmap->shift;
	recorders->list[recorders->nr].bits = bits;
	recorders->nr++;
}

int cbw_track_set_generation(struct cbw_track *track, struct cbw_bitmap *bitmap,
			     u64 generation)
{
	int r;

	lockdep_assert_held(&track->admin);
	r = dm_live_store_set_generation(track->store, bitmap->name,
					 generation);
	if (!r)
		WRITE_ONCE(bitmap->generation, generation);
	return r;
}

struct cbw_recorders *cbw_track_alloc_recorders(struct cbw_track *track)
{
	struct cbw_recorders *recorders;
	struct cbw_bitmap *bitmap;
	unsigned int nr = 0;

	/* Each with a successor. */
	list_for_each_entry(bitmap, &track->bitmaps, link)
		nr += 2;
	recorders = kmalloc(struct_size(recorders, list, nr), GFP_NOIO);
	if (recorders)
		recorders->nr = 0;
	return recorders;
}

void cbw_track_set_recorders(struct cbw_track *track, struct cbw_recorders *new)
{
	struct cbw_recorders *old;
	struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, &track->bitmaps, link) {
		if (!bitmap->recording)
			continue;
		add_recorder(new, bitmap, bitmap->bits);
		if (bitmap->successor)
			add_recorder(new, bitmap, bitmap->successor);
	}
	old = rcu_replace_pointer(track->recorders, new,
				  lockdep_is_held(&track->admin));
	/* Nobody uses the old ones any more, or what they lead to. */
	synchronize_rcu();
	kfree(old);
}

static void drop_recorders(struct cbw_track *track)
{
	struct cbw_recorders *old;

	old = rcu_replace_pointer(track->recorders, NULL,
				  lockdep_is_held(&track->admin));
	synchronize_rcu();
	kfree(old);
}

static struct cbw_bitmap *add_bitmap(struct cbw_track *track,
				     const struct qcow2_store_bitmap *entry)
{
	struct cbw_bitmap *bitmap = kzalloc(sizeof(*bitmap), GFP_NOIO);

	if (!bitmap)
		return NULL;
	bitmap->shift = entry->granularity_bits;
	bitmap->name = kstrndup(entry->name, entry->name_bytes, GFP_NOIO);
	bitmap->bits = dm_live_bitmap_create(cbw_track_bits(track,
							    bitmap->shift));
	if (!bitmap->name || !bitmap->bits) {
		free_bitmap(bitmap);
		return NULL;
	}
	list_add_tail(&bitmap->link, &track->bitmaps);
	return bitmap;
}

/* One that cannot be read is as good as none. */
static int load_intent(struct cbw_track *track)
{
	const char *name = QCOW2_DMLIVE_INTENT_NAME;
	const struct qcow2_store_bitmap *entry =
		dm_live_store_lookup(track->store, name);
	bool was_in_use;
	u64 nr;

	if (!entry)
		return 0;
	track->region_shift = entry->granularity_bits;
	nr = cbw_track_bits(track, track->region_shift);
	track->intent = dm_live_bitmap_create(nr);
	track->open = dm_live_bitmap_create(nr);
	track->touched = dm_live_bitmap_create(nr);
	if (!track->intent || !track->open || !track->touched)
		return -ENOMEM;
	if (dm_live_store_attach(track->store, name, 1ULL << track->region_shift,
				 track->intent, DM_LIVE_ATTACH_LOAD,
				 &was_in_use))
		free_intent(track);
	return 0;
}

/* Is the intent bitmap as it was kept till the crash? */
static bool can_trust_intent(struct cbw_track *track)
{
	const struct qcow2_store_bitmap *entry =
		dm_live_store_lookup(track->store, QCOW2_DMLIVE_INTENT_NAME);

	return track->intent && entry && entry->flags & QCOW2_BITMAP_IN_USE &&
	       dm_live_store_was_tracking(track->store);
}

/* Set the bits of all regions that were open. Return: how many were clear. */
static u64 add_regions(struct cbw_track *track, struct cbw_bitmap *bitmap)
{
	u64 nr_regions = dm_live_bitmap_nr_blocks(track->intent);
	u64 first = 0, next, start, end, added = 0;

	for (;; cond_resched()) {
		first = dm_live_bitmap_next_set(track->intent, first,
						nr_regions);
		if (first == nr_regions)
			return added;
		next = dm_live_bitmap_next_clear(track->intent, first,
						 nr_regions);
		start = first << track->region_shift >> bitmap->shift;
		end = min(next << track->region_shift, track->size_bytes);
		end = ((end - 1) >> bitmap->shift) + 1;
		added += dm_live_bitmap_set_range(bitmap->bits, start,
						  end - start);
		first = next;
	}
}

/* Some changes may not be in the bitmap: add all that can be missing. */
static void recover(struct cbw_track *track, struct cbw_bitmap *bitmap)
{
	u64 nr = dm_live_bitmap_nr_blocks(bitmap->bits);
	bool all = !can_trust_intent(track);
	u64 added = all ? dm_live_bitmap_set_range(bitmap->bits, 0, nr) :
			  add_regions(track, bitmap);

	track->recovered += added;
	DMWARN("%s: bitmap '%s' was not closed cleanly: %llu of %llu blocks are added, %s",
	       track->name, bitmap->name, added, nr, all ?
	       "all, since no intent bitmap says where changes may be missing" :
	       "all of the regions that were written to");
}

/* One with a session: that goes on after a suspend. */
static struct cbw_bitmap *take_kept(struct cbw_track *track,
				    struct list_head *kept,
				    const struct qcow2_store_bitmap *entry)
{
	struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, kept, link) {
		if (!bitmap->successor ||
		    bitmap->shift != entry->granularity_bits ||
		    strlen(bitmap->name) != entry->name_bytes ||
		    memcmp(bitmap->name, entry->name, entry->name_bytes))
			continue;
		list_move_tail(&bitmap->link, &track->bitmaps);
		return bitmap;
	}
	return NULL;
}

/* Of a bitmap with a session memory has the truth, if nobody else has changed it. */
static int load_kept(struct cbw_track *track, struct cbw_bitmap *bitmap)
{
	bool was_in_use;

	return dm_live_store_attach(track->store, bitmap->name,
				    1ULL << bitmap->shift, bitmap->bits,
				    DM_LIVE_ATTACH_KEEP, &was_in_use);
}

static int load_bitmap(struct cbw_track *track, struct list_head *kept,
		       const struct qcow2_store_bitmap *entry)
{
	struct cbw_bitmap *bitmap = NULL;
	bool was_in_use;
	int r;

	if (entry->flags & QCOW2_BITMAP_AUTO)
		bitmap = take_kept(track, kept, entry);
	if (!bitmap)
		bitmap = add_bitmap(track, entry);
	if (!bitmap)
		return -ENOMEM;
	bitmap->generation = dm_live_store_generation(track->store,
						      bitmap->name);
	if (bitmap->successor)
		return load_kept(track, bitmap);
	if (!(entry->flags & QCOW2_BITMAP_AUTO))
		return dm_live_store_load(track->store, bitmap->name,
					  bitmap->bits);
	r = dm_live_store_attach(track->store, bitmap->name,
				 1ULL << bitmap->shift, bitmap->bits,
				 DM_LIVE_ATTACH_LOAD, &was_in_use);
	if (r)
		return r;
	bitmap->recording = !track->read_only;
	if (was_in_use && !track->read_only)
		recover(track, bitmap);
	return 0;
}

static int load(struct cbw_track *track)
{
	struct cbw_bitmap *bitmap, *next;
	LIST_HEAD(kept);
	u32 i;
	int r;

	list_splice_init(&track->bitmaps, &kept);
	/* They are read again, and their memory is needed for that. */
	list_for_each_entry_safe(bitmap, next, &kept, link) {
		if (bitmap->successor)
			continue;
		list_del(&bitmap->link);
		free_bitmap(bitmap);
	}
	free_intent(track);
	track->recovered = 0;
	r = dm_live_store_reload(track->store) ?:
	    check_store(track) ?:
	    load_intent(track);
	for (i = 0; !r && i < dm_live_store_nr_bitmaps(track->store); i++) {
		const struct qcow2_store_bitmap *entry =
			dm_live_store_entry(track->store, i);

		if (!is_reserved(entry))
			r = load_bitmap(track, &kept, entry);
	}
	if (r)
		/* The next resume tries again. */
		list_splice(&kept, &track->bitmaps);
	else
		free_list(&kept);
	return r;
}

/* What it had is in the bitmaps now. */
static void forgo_intent(struct cbw_track *track)
{
	if (!track->intent)
		return;
	dm_live_store_detach(track->store, QCOW2_DMLIVE_INTENT_NAME);
	free_intent(track);
}

static int activate(struct cbw_track *track)
{
	struct cbw_recorders *recorders;
	int r = 0;

	/* Before anything is read: nobody changes it after that. */
	if (!track->read_only)
		r = dm_live_store_claim(track->store);
	if (r)
		return r;
	mutex_lock(&track->load_lock);
	r = load(track) ?: cbw_gap_close(track);
	if (!r && track->table->config.on_meta_error == CBW_BREAK_TRACKING)
		forgo_intent(track);
	mutex_unlock(&track->load_lock);
	if (r || track->read_only)
		return r;
	recorders = cbw_track_alloc_recorders(track);
	if (!recorders)
		return -ENOMEM;
	cbw_track_set_recorders(track, recorders);
	dm_live_store_set_tracking(track->store, track->intent);
	r = dm_live_store_activate(track->store);
	if (r) {
		drop_recorders(track);
		return r;
	}
	WRITE_ONCE(track->active, true);
	if (!track->intent &&
	    track->table->config.on_meta_error != CBW_BREAK_TRACKING)
		DMWARN("%s: metadata device: no bitmap '%s' can be used: after a crash all blocks will count as changed",
		       track->name, QCOW2_DMLIVE_INTENT_NAME);
	cbw_intent_start(track);
	return 0;
}

/* What is in memory is not kept any more. */
static void forget(struct cbw_track *track)
{
	mutex_lock(&track->load_lock);
	free_list(&track->bitmaps);
	INIT_LIST_HEAD(&track->bitmaps);
	free_intent(track);
	track->recovered = 0;
	mutex_unlock(&track->load_lock);
}

int cbw_track_activate(struct cbw_track *track)
{
	unsigned int noio;
	int r;

	/* The mapped device is suspended: memory must not wait for it. */
	noio = memalloc_noio_save();
	mutex_lock(&track->admin);
	WRITE_ONCE(track->blocked, false);
	r = activate(track);
	if (!r) {
		cbw_dead_enter(track);
	} else {
		dm_live_store_release(track->store);
		DMERR("%s: cannot use the metadata device: %d", track->name, r);
		if (dm_live_store_has_failed(track->store) &&
		    cbw_dead_resume(track)) {
			forget(track);
			r = 0;
		}
	}
	mutex_unlock(&track->admin);
	memalloc_noio_restore(noio);
	return r;
}

void cbw_track_deactivate(struct cbw_track *track)
{
	if (!track->active)
		return;
	cbw_intent_stop(track);
	mutex_lock(&track->admin);
	cbw_gap_seal(track);
	dm_live_store_deactivate(track->store);
	track->all_unknown = !track->intent &&
			     dm_live_store_is_marked(track->store);
	WRITE_ONCE(track->active, false);
	drop_recorders(track);
	mutex_unlock(&track->admin);
}

static void set_bits(const struct cbw_recorder *recorder, u64 start, u64 end)
{
	u64 first = start >> recorder->shift;
	u64 last = (end - 1) >> recorder->shift;

	if (dm_live_bitmap_next_clear(recorder->bits, first, last + 1) <= last)
		dm_live_bitmap_set_range(recorder->bits, first,
					 last - first + 1);
}

bool cbw_track_record(struct cbw_track *track, sector_t first, sector_t nr)
{
	u64 start = (u64)first << SECTOR_SHIFT;
	u64 end = start + ((u64)nr << SECTOR_SHIFT);
	const struct cbw_recorders *recorders;
	bool passes;
	unsigned int i;

	/*
	 * Who changes what is open or what records waits for a grace period: so what
	 * was found open here is not closed before the bits are set.
	 */
	if (unlikely(READ_ONCE(track->blocked)))
		return false;
	rcu_read_lock();
	recorders = rcu_dereference(track->recorders);
	passes = !recorders || cbw_intent_is_open(track, start, end);
	if (passes && recorders)
		for (i = 0; i < recorders->nr; i++)
			set_bits(&recorders->list[i], start, end);
	rcu_read_unlock();
	return passes;
}

static const char *state_of(struct cbw_track *track)
{
	if (track->read_only)
		return "ro";
	return dm_live_store_has_failed(track->store) ? "failed" : "rw";
}

static const char *bitmap_state(const struct cbw_bitmap *bitmap)
{
	if (!READ_ONCE(bitmap->recording))
		return "disabled";
	return READ_ONCE(bitmap->successor) ? "frozen" : "recording";
}

static unsigned int emit_name(const char *name, unsigned int sz, char *result,
			      unsigned int maxlen)
{
	for (; *name; name++) {
		if ((u8)*name <= ' ' || *name == '\\' || *name == 0x7f)
			DMEMIT("\\%03o", (u8)*name);
		else
			DMEMIT("%c", *name);
	}
	return sz;
}

/*
 * <ro|rw|failed> <open>/<regions> <recovered> <#bitmaps> and for each
 * <name> <granularity> <recording|frozen|disabled> <set> <generation>
 */
unsigned int cbw_track_emit(struct cbw_track *track, unsigned int sz,
			    char *result, unsigned int maxlen)
{
	struct cbw_bitmap *bitmap;
	unsigned int nr = 0;

	mutex_lock(&track->load_lock);
	list_for_each_entry(bitmap, &track->bitmaps, link)
		nr++;
	DMEMIT("%s %llu/%llu %llu %u", state_of(track),
	       track->open ? dm_live_bitmap_weight(track->open) : 0,
	       track->open ? dm_live_bitmap_nr_blocks(track->open) : 0,
	       track->recovered, nr);
	list_for_each_entry(bitmap, &track->bitmaps, link) {
		DMEMIT(" ");
		sz = emit_name(bitmap->name, sz, result, maxlen);
		DMEMIT(" %llu %s %llu %llu", 1ULL << bitmap->shift,
		       bitmap_state(bitmap),
		       dm_live_bitmap_weight(bitmap->bits),
		       READ_ONCE(bitmap->generation));
	}
	mutex_unlock(&track->load_lock);
	return sz;
}

static int open_store(struct cbw_track *track)
{
	struct cbw_table *table = track->table;
	struct dm_target *ti = table->ti;
	const struct dm_live_store_params params = {
		.meta = table->meta->bdev,
		.size_bytes = track->size_bytes,
		.read_only = track->read_only,
		.may_be_dead = cbw_dead_may_follow(track),
		.name = track->name,
		.failed = store_failed,
		.context = track,
	};
	int r;

	track->store = dm_live_store_open(&params);
	if (IS_ERR(track->store)) {
		r = PTR_ERR(track->store);
		track->store = NULL;
		ti->error = "The metadata device is refused";
		return r;
	}
	return check_store(track);
}

int cbw_track_open(struct cbw_table *table)
{
	struct dm_target *ti = table->ti;
	struct cbw_track *track = kzalloc(sizeof(*track), GFP_KERNEL);

	if (!track) {
		ti->error = "Cannot allocate change tracking";
		return -ENOMEM;
	}
	table->track = track;
	track->table = table;
	track->name = dm_table_device_name(ti->table);
	track->read_only = !(dm_table_get_mode(ti->table) & BLK_OPEN_WRITE);
	track->size_bytes = (u64)ti->len << SECTOR_SHIFT;
	mutex_init(&track->admin);
	mutex_init(&track->load_lock);
	INIT_LIST_HEAD(&track->link);
	INIT_LIST_HEAD(&track->bitmaps);
	INIT_WORK(&track->event_work, event_work);
	cbw_intent_init(track);
	track->wq = alloc_workqueue("cbw_track", WQ_UNBOUND | WQ_MEM_RECLAIM,
				    0);
	if (!track->wq) {
		ti->error = "Cannot allocate change tracking";
		return -ENOMEM;
	}
	return open_store(track);
}

void cbw_track_close(struct cbw_track *track)
{
	if (!track)
		return;
	/* If it was activated, and the device never resumed. */
	cbw_track_deactivate(track);
	cbw_dead_leave(track);
	dm_live_store_close(track->store);
	if (track->wq) {
		/* dm_table_event() of a table that is being destroyed is vain. */
		cancel_work_sync(&track->event_work);
		destroy_workqueue(track->wq);
	}
	free_list(&track->bitmaps);
	free_intent(track);
	kfree(track);
}
