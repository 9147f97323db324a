// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading the bitmaps of a store into memory, and recovery after a crash.
 *
 * Each resume reads everything again. The content on disk is the truth: the table that
 * used the store before has closed it, or has left IN_USE set, and then the recovery adds
 * what may be missing. Recovery: a bitmap that was not closed gets all regions of the
 * intent bitmap, rounded outward to whole bits. It gets all its bits if the intent bitmap
 * may not have been kept all the time: the state has no TRACKING, or the intent bitmap is
 * not in use, missing or unreadable. These bits are durable before the marks on disk that
 * ask for a recovery are removed.
 *
 * Memory: bitmaps of large devices may take gigabytes, and a resume that fails leaves the
 * mapped device suspended. So the constructor allocates memory for all that is in the store
 * then, and each load reuses the memory of the load before. A load allocates memory only
 * for what was not in the store when the table was loaded: dmlive may have added bitmaps
 * after that, while no table used the store, or the store was unreadable then. While a
 * device has two tables, each has memory of its own: their contents differ as soon as one
 * of them is resumed.
 *
 * All of this runs under cbw_track.admin, or while nothing else uses the track.
 */
#include "track-load.h"
#include "track.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store-track.h"
#include "dm-live/store.h"

/* Belongs to dm-alloctrack, whose bits mean something else. */
#define ALLOCTRACK_NAME	"alloctrack"

static void free_bitmap(struct cbw_bitmap *bitmap)
{
	dm_live_bitmap_destroy(bitmap->successor);
	dm_live_bitmap_destroy(bitmap->bits);
	kfree(bitmap->name);
	kfree(bitmap);
}

/* Make it look as if new_bitmap() had just made it. */
static void renew_bitmap(struct cbw_bitmap *bitmap)
{
	dm_live_bitmap_destroy(bitmap->successor);
	bitmap->successor = NULL;
	bitmap->recording = false;
	bitmap->generation = 0;
	bitmap->flush_errors = 0;
	bitmap->keep_bits = false;
	bitmap->is_torn = false;
	bitmap->cleared = false;
	dm_live_bitmap_renew(bitmap->bits);
}

static void drop_intent(struct cbw_track *track)
{
	track->intent = NULL;
	track->open = NULL;
	track->touched = NULL;
}

static int make_intent(struct cbw_track *track, u64 nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(track->spare_intent); i++) {
		struct dm_live_bitmap *spare = track->spare_intent[i];

		if (spare && dm_live_bitmap_nr_blocks(spare) == nr) {
			dm_live_bitmap_renew(spare);
			continue;
		}
		dm_live_bitmap_destroy(spare);
		spare = dm_live_bitmap_create(nr);
		track->spare_intent[i] = spare;
		if (!spare)
			return -ENOMEM;
	}
	return 0;
}

static void free_list(struct list_head *bitmaps)
{
	struct cbw_bitmap *bitmap, *next;

	list_for_each_entry_safe(bitmap, next, bitmaps, link) {
		list_del(&bitmap->link);
		free_bitmap(bitmap);
	}
}

static bool is_reserved(const struct qcow2_store_bitmap *entry)
{
	const size_t bytes = strlen(QCOW2_DMLIVE_RESERVED_PREFIX);

	return entry->name_bytes >= bytes &&
	       !memcmp(entry->name, QCOW2_DMLIVE_RESERVED_PREFIX, bytes);
}

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

static bool is_of(const struct cbw_bitmap *bitmap,
		  const struct qcow2_store_bitmap *entry)
{
	return bitmap->shift == entry->granularity_bits &&
	       strlen(bitmap->name) == entry->name_bytes &&
	       !memcmp(bitmap->name, entry->name, entry->name_bytes);
}

static struct cbw_bitmap *new_bitmap(const struct cbw_track *track,
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
	return bitmap;
}

static struct cbw_bitmap *take_spare(struct cbw_track *track,
				     const struct qcow2_store_bitmap *entry)
{
	struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, &track->spare, link) {
		if (!is_of(bitmap, entry))
			continue;
		list_del(&bitmap->link);
		renew_bitmap(bitmap);
		return bitmap;
	}
	return NULL;
}

static struct cbw_bitmap *add_bitmap(struct cbw_track *track,
				     const struct qcow2_store_bitmap *entry)
{
	struct cbw_bitmap *bitmap = take_spare(track, entry) ?:
				    new_bitmap(track, entry);

	if (bitmap)
		list_add_tail(&bitmap->link, &track->bitmaps);
	return bitmap;
}

/* Free those that the store does not have any more: others may need their memory. */
static void free_unneeded(struct cbw_track *track)
{
	struct cbw_bitmap *bitmap, *next;

	list_for_each_entry_safe(bitmap, next, &track->spare, link) {
		const struct qcow2_store_bitmap *entry =
			dm_live_store_lookup(track->store, bitmap->name);

		if (entry && is_of(bitmap, entry))
			continue;
		list_del(&bitmap->link);
		free_bitmap(bitmap);
	}
}

int cbw_track_prepare(struct cbw_track *track)
{
	const char *name = track->table->config.bitmap;
	const struct qcow2_store_bitmap *entry;
	struct cbw_bitmap *bitmap;
	u32 i;

	for (i = 0; i < dm_live_store_nr_bitmaps(track->store); i++) {
		entry = dm_live_store_entry(track->store, i);
		if (is_reserved(entry))
			continue;
		bitmap = new_bitmap(track, entry);
		if (!bitmap)
			return -ENOMEM;
		list_add_tail(&bitmap->link, &track->spare);
	}
	entry = name ? dm_live_store_lookup(track->store, name) : NULL;
	if (entry) {
		track->spare_successor =
			dm_live_bitmap_create(cbw_track_bits(track,
							     entry->granularity_bits));
		if (!track->spare_successor)
			return -ENOMEM;
	}
	entry = dm_live_store_lookup(track->store, QCOW2_DMLIVE_INTENT_NAME);
	if (!entry)
		return 0;
	return make_intent(track,
			   cbw_track_bits(track, entry->granularity_bits));
}

/* An intent bitmap that cannot be read counts as missing. */
static int load_intent(struct cbw_track *track)
{
	const char *name = QCOW2_DMLIVE_INTENT_NAME;
	const struct qcow2_store_bitmap *entry =
		dm_live_store_lookup(track->store, name);
	bool was_in_use;
	int r;

	if (!entry)
		return 0;
	track->region_shift = entry->granularity_bits;
	r = make_intent(track, cbw_track_bits(track, track->region_shift));
	if (r)
		return r;
	track->intent = track->spare_intent[0];
	track->open = track->spare_intent[1];
	track->touched = track->spare_intent[2];
	if (dm_live_store_attach(track->store, name, 1ULL << track->region_shift,
				 track->intent, DM_LIVE_ATTACH_LOAD,
				 &was_in_use))
		drop_intent(track);
	return 0;
}

/* Was the intent bitmap kept all the time until the crash? */
static bool can_trust_intent(struct cbw_track *track)
{
	const struct qcow2_store_bitmap *entry =
		dm_live_store_lookup(track->store, QCOW2_DMLIVE_INTENT_NAME);

	return track->intent && entry && entry->flags & QCOW2_BITMAP_IN_USE &&
	       dm_live_store_was_tracking(track->store);
}

/* Set the bits of all regions that were open. Returns how many were clear. */
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

/* Some changes may not be in the bitmap: add all that may be missing. */
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

/* A bitmap with a session is kept: the session goes on after a suspend. */
static struct cbw_bitmap *take_kept(struct cbw_track *track,
				    struct list_head *kept,
				    const struct qcow2_store_bitmap *entry)
{
	struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, kept, link) {
		if (!is_of(bitmap, entry))
			continue;
		list_move_tail(&bitmap->link, &track->bitmaps);
		return bitmap;
	}
	return NULL;
}

/* For a bitmap with a session memory is the truth, if nothing else has changed the store. */
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
	/* Read them again into the same memory. */
	list_for_each_entry_safe(bitmap, next, &kept, link)
		if (!bitmap->successor)
			list_move_tail(&bitmap->link, &track->spare);
	drop_intent(track);
	track->recovered = 0;
	r = dm_live_store_reload(track->store) ?:
	    cbw_track_check_store(track);
	if (!r) {
		free_unneeded(track);
		r = load_intent(track);
	}
	for (i = 0; !r && i < dm_live_store_nr_bitmaps(track->store); i++) {
		const struct qcow2_store_bitmap *entry =
			dm_live_store_entry(track->store, i);

		if (!is_reserved(entry))
			r = load_bitmap(track, &kept, entry);
	}
	if (r) {
		/* The next resume tries again. */
		list_splice(&kept, &track->bitmaps);
		return r;
	}
	free_list(&kept);
	free_list(&track->spare);
	return 0;
}

void cbw_track_forgo_intent(struct cbw_track *track)
{
	if (!track->intent)
		return;
	dm_live_store_detach(track->store, QCOW2_DMLIVE_INTENT_NAME);
	drop_intent(track);
}

void cbw_track_forget(struct cbw_track *track)
{
	mutex_lock(&track->load_lock);
	/* The metadata device may work again at the next resume. */
	list_splice_tail_init(&track->bitmaps, &track->spare);
	drop_intent(track);
	track->recovered = 0;
	mutex_unlock(&track->load_lock);
}

void cbw_track_free_bitmaps(struct cbw_track *track)
{
	unsigned int i;

	free_list(&track->bitmaps);
	free_list(&track->spare);
	dm_live_bitmap_destroy(track->spare_successor);
	for (i = 0; i < ARRAY_SIZE(track->spare_intent); i++)
		dm_live_bitmap_destroy(track->spare_intent[i]);
}
