// SPDX-License-Identifier: GPL-2.0-only
/* Functions of other files that the parsers of cbw call, see fake-cbw.h. */
#include "dm-cbw/job.h"
#include "dm-cbw/state.h"
#include "dm-cbw/track-durable.h"
#include "dm-cbw/track-record.h"
#include "dm-live/core/bitmap.h"
#include "fake-cbw.h"

/* dm-live/store-track.c */

static int meta_result(void)
{
	return fake_options & FAKE_BAD_META ? -EIO : 0;
}

int dm_live_store_write(struct dm_live_store *store,
			struct dm_live_bitmap *bitmap)
{
	(void)store;
	(void)bitmap;
	return meta_result();
}

int dm_live_store_write_detached(struct dm_live_store *store, const char *name,
				 struct dm_live_bitmap *bitmap)
{
	(void)name;
	return dm_live_store_write(store, bitmap);
}

int dm_live_store_enable(struct dm_live_store *store, const char *name,
			 struct dm_live_bitmap *bitmap, bool enable)
{
	(void)name;
	(void)enable;
	return dm_live_store_write(store, bitmap);
}

const struct qcow2_store_bitmap *
dm_live_store_lookup(struct dm_live_store *store, const char *name)
{
	static const struct qcow2_store_bitmap clean;
	static const struct qcow2_store_bitmap in_use = {
		.flags = QCOW2_BITMAP_IN_USE,
	};

	(void)store;
	return !strcmp(name, "lost") ? &in_use : &clean;
}

blk_status_t dm_live_store_commit_wait(struct dm_live_store *store)
{
	(void)store;
	return fake_options & FAKE_BAD_META;
}

bool dm_live_store_has_failed(const struct dm_live_store *store)
{
	(void)store;
	return fake_options & FAKE_BAD_META;
}

/* dm-cbw/track-record.c, dm-cbw/track-durable.c */

struct cbw_bitmap *cbw_track_find(struct cbw_track *track, const char *name)
{
	struct cbw_bitmap *bitmap, *next;

	shim_assert_held(&track->admin);
	list_for_each_entry_safe(bitmap, next, &track->bitmaps, link)
		if (!strcmp(bitmap->name, name))
			return bitmap;
	return NULL;
}

int cbw_track_set_generation(struct cbw_track *track, struct cbw_bitmap *bitmap,
			     u64 generation)
{
	shim_assert_held(&track->admin);
	if (fake_options & FAKE_BAD_META)
		return -EIO;
	bitmap->generation = generation;
	return 0;
}

int cbw_track_flush_origin(struct cbw_track *track)
{
	shim_assert_held(&track->admin);
	return fake_options & FAKE_BAD_META ? -EIO : 0;
}

void cbw_track_note_flushes(struct cbw_track *track, struct cbw_bitmap *bitmap)
{
	bitmap->flush_errors = 0;
}

bool cbw_track_lost_data(const struct cbw_track *track,
			 const struct cbw_bitmap *bitmap)
{
	return bitmap->flush_errors;
}

struct cbw_recorders *cbw_track_alloc_recorders(struct cbw_track *track)
{
	shim_assert_held(&track->admin);
	return fake_options & FAKE_NO_MEMORY ? NULL :
	       kzalloc(sizeof(struct cbw_recorders), GFP_KERNEL);
}

void cbw_track_set_recorders(struct cbw_track *track,
			     struct cbw_recorders *recorders)
{
	shim_assert_held(&track->admin);
	if (!recorders)
		abort();
	kfree(track->recorders);
	track->recorders = recorders;
}

static void add_bitmap(struct cbw_track *track, char *name, unsigned int shift,
		       bool recording)
{
	struct cbw_bitmap *bitmap = kzalloc(sizeof(*bitmap), GFP_KERNEL);
	u64 nr = cbw_track_bits(track, shift);
	u64 bit;

	bitmap->name = name;
	bitmap->shift = shift;
	bitmap->recording = recording;
	bitmap->bits = dm_live_bitmap_create(nr);
	for (bit = 1; bit < nr; bit += 5)
		dm_live_bitmap_set_range(bitmap->bits, bit, min(nr - bit, (u64)2));
	list_add_tail(&bitmap->link, &track->bitmaps);
}

struct cbw_track *fake_track(struct cbw_table *table)
{
	struct cbw_track *track = kzalloc(sizeof(*track), GFP_KERNEL);

	track->table = table;
	track->name = "254:0";
	track->read_only = fake_options & FAKE_READ_ONLY;
	track->active = !track->read_only;
	track->size_bytes = table->ti->len << SECTOR_SHIFT;
	INIT_LIST_HEAD(&track->bitmaps);
	add_bitmap(track, "a", 16, true);
	add_bitmap(track, "b", 12, true);
	add_bitmap(track, "c", 20, false);
	add_bitmap(track, "all", 31, true);
	add_bitmap(track, "lost", 9, false);
	return track;
}

void fake_track_free(struct cbw_track *track)
{
	struct cbw_bitmap *bitmap, *next;

	if (!track)
		return;
	list_for_each_entry_safe(bitmap, next, &track->bitmaps, link) {
		dm_live_bitmap_destroy(bitmap->bits);
		dm_live_bitmap_destroy(bitmap->successor);
		kfree(bitmap);
	}
	kfree(track->recorders);
	kfree(track);
}

/* dm-cbw/state.c, dm-cbw/job.c */

static struct dm_live_bitmap *full_bitmap(u64 nr)
{
	struct dm_live_bitmap *bitmap = dm_live_bitmap_create(nr);

	dm_live_bitmap_set_range(bitmap, 0, nr);
	return bitmap;
}

struct cbw_session *fake_session(struct cbw_table *table)
{
	struct cbw_session *session;

	if (!table->target && !table->fleece)
		return NULL;
	session = kzalloc(sizeof(*session), GFP_KERNEL);
	session->config = table->config;
	session->target_bdev = table->target ? table->target->bdev : NULL;
	session->nr_sectors = table->ti->len;
	session->block_shift = table->block_shift;
	session->nr_blocks = ((table->ti->len - 1) >> table->block_shift) + 1;
	session->scope = full_bitmap(session->nr_blocks);
	session->todo = full_bitmap(session->nr_blocks);
	session->left = full_bitmap(session->nr_blocks);
	session->state = CBW_ACTIVE;
	session->job.rate.bytes_per_second = table->config.job_speed;
	return session;
}

void fake_session_free(struct cbw_session *session)
{
	if (!session)
		return;
	dm_live_bitmap_destroy(session->scope);
	dm_live_bitmap_destroy(session->todo);
	dm_live_bitmap_destroy(session->left);
	kfree(session);
}

u64 dm_live_rate_get(const struct dm_live_rate *rate)
{
	return rate->bytes_per_second;
}

bool cbw_session_break(struct cbw_session *session, const char *why)
{
	(void)why;
	if (session->state != CBW_ACTIVE)
		return false;
	session->state = CBW_BROKEN;
	return true;
}

int cbw_job_message(struct cbw_session *session, const char *verb)
{
	if (!session->target_bdev)
		return -EOPNOTSUPP;
	return strcmp(verb, "start") ? -EINVAL : 0;
}

void cbw_job_set_speed(struct cbw_session *session, u64 bytes_per_second)
{
	session->job.rate.bytes_per_second = bytes_per_second;
}
