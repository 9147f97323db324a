// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resuming when the metadata device has failed. A mapped device that was in use must not
 * stay suspended, and no write may pass that the metadata would not account for if the
 * device came back.
 *
 * The metadata then has its last durable content. If that says that the bitmaps are in use
 * and that no intent bitmap is kept, all blocks count as changed when it is read, so writes
 * may pass. Otherwise, when the bitmaps were closed or the metadata says which regions may
 * have changed, all writes fail. Each table takes this over from the table that was active
 * before it.
 *
 * The list has the tracks that were activated until their tables are destroyed, which is
 * after the next table of the mapped device is resumed.
 */
#include "track-dead.h"
#include "track.h"

static DEFINE_MUTEX(lock);
static LIST_HEAD(tracks);

static dev_t devt_of(const struct cbw_track *track)
{
	return disk_devt(dm_disk(dm_table_get_md(track->table->ti->table)));
}

/* The track of another table of the same mapped device, with the same metadata device. */
static const struct cbw_track *find_former(const struct cbw_track *track)
{
	const struct cbw_track *other;

	lockdep_assert_held(&lock);
	list_for_each_entry(other, &tracks, link)
		if (other != track && devt_of(other) == devt_of(track) &&
		    other->table->meta->bdev == track->table->meta->bdev)
			return other;
	return NULL;
}

bool cbw_dead_may_follow(const struct cbw_track *track)
{
	bool may;

	mutex_lock(&lock);
	may = find_former(track);
	mutex_unlock(&lock);
	return may;
}

void cbw_dead_enter(struct cbw_track *track)
{
	const struct cbw_track *former;

	mutex_lock(&lock);
	former = find_former(track);
	if (former && (former->may_have_lost ||
		       atomic_read(&former->flush_errors)))
		track->may_have_lost = true;
	if (list_empty(&track->link))
		list_add(&track->link, &tracks);
	mutex_unlock(&lock);
}

void cbw_dead_leave(struct cbw_track *track)
{
	mutex_lock(&lock);
	list_del_init(&track->link);
	mutex_unlock(&lock);
}

bool cbw_dead_resume(struct cbw_track *track)
{
	const struct cbw_track *former;
	bool was_in_use;

	mutex_lock(&lock);
	former = find_former(track);
	if (former)
		track->all_unknown = former->all_unknown;
	was_in_use = former || !list_empty(&track->link);
	if (was_in_use && list_empty(&track->link))
		list_add(&track->link, &tracks);
	mutex_unlock(&lock);
	if (!was_in_use)
		return false;

	WRITE_ONCE(track->blocked, !track->all_unknown);
	DMERR("%s: resumed without its metadata device, which has failed: %s",
	      track->name, track->blocked ?
	      "writes fail, since they cannot be recorded" :
	      "changes are not recorded any more");
	queue_work(track->wq, &track->event_work);
	return true;
}
