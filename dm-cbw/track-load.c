// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading the bitmaps of a store into memory, and recovery after a crash.
 *
 * Each resume reads all again: what stands on disk is the truth, since the table that
 * had it before has closed it, or has left IN_USE, and then the recovery adds what may
 * be missing. Recovery: a bitmap that was not closed gets all regions of the intent
 * bitmap, outward to whole bits; where nothing says that the intent bitmap was kept all
 * the time (the state has no TRACKING, or it is not in use itself, or missing, or cannot
 * be read), all its bits. These are durable before anything on disk says otherwise.
 *
 * All under cbw_track.admin, or before anybody else knows the track, and after that.
 */
#include "track.h"

/* Belongs to dm-alloctrack, whose bits mean something else. */
#define ALLOCTRACK_NAME	"alloctrack"

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
int cbw_track_check_store(struct cbw_track *track)
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

int cbw_track_load(struct cbw_track *track)
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
	    cbw_track_check_store(track) ?:
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
void cbw_track_forgo_intent(struct cbw_track *track)
{
	if (!track->intent)
		return;
	dm_live_store_detach(track->store, QCOW2_DMLIVE_INTENT_NAME);
	free_intent(track);
}

/* What is in memory is not kept any more. */
void cbw_track_forget(struct cbw_track *track)
{
	mutex_lock(&track->load_lock);
	free_list(&track->bitmaps);
	INIT_LIST_HEAD(&track->bitmaps);
	free_intent(track);
	track->recovered = 0;
	mutex_unlock(&track->load_lock);
}

void cbw_track_free_bitmaps(struct cbw_track *track)
{
	free_list(&track->bitmaps);
	free_intent(track);
}
