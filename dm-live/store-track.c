// SPDX-License-Identifier: GPL-2.0-only
/*
 * What change tracking asks of the bitmap store beyond commits: which bitmaps
 * there are, one bitmap made durable alone, and changes of the directory while the
 * store is active. See store-track.h.
 *
 * All that writes runs in the store's ordered workqueue, like the commits.
 */
#include <linux/device-mapper.h>

#include "store-internal.h"
#include "store-track.h"

struct job {
	struct work_struct work;
	struct dm_live_store *store;
	int (*run)(struct dm_live_store *store, void *context);
	void *context;
	int result;
};

static void job_work(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, work);

	job->result = job->run(job->store, job->context);
}

/* Between two commits. */
static int run_job(struct dm_live_store *store,
		   int (*run)(struct dm_live_store *store, void *context),
		   void *context)
{
	struct job job = {
		.store = store,
		.run = run,
		.context = context,
	};

	INIT_WORK_ONSTACK(&job.work, job_work);
	queue_work(store->wq, &job.work);
	flush_work(&job.work);
	destroy_work_on_stack(&job.work);
	return job.result;
}

u32 dm_live_store_nr_bitmaps(const struct dm_live_store *store)
{
	return store->header.nr_bitmaps;
}
EXPORT_SYMBOL_GPL(dm_live_store_nr_bitmaps);

const struct qcow2_store_bitmap *
dm_live_store_entry(const struct dm_live_store *store, u32 index)
{
	return &store->bitmaps[index].entry;
}
EXPORT_SYMBOL_GPL(dm_live_store_entry);

const struct qcow2_store_bitmap *
dm_live_store_lookup(struct dm_live_store *store, const char *name)
{
	struct dm_live_store_bitmap *found = dm_live_store_find(store, name);

	return found ? &found->entry : NULL;
}
EXPORT_SYMBOL_GPL(dm_live_store_lookup);

bool dm_live_store_was_tracking(const struct dm_live_store *store)
{
	return store->header.state_flags & QCOW2_DMLIVE_TRACKING;
}
EXPORT_SYMBOL_GPL(dm_live_store_was_tracking);

void dm_live_store_set_tracking(struct dm_live_store *store, bool tracking)
{
	store->tracking = tracking;
}
EXPORT_SYMBOL_GPL(dm_live_store_set_tracking);

int dm_live_store_load(struct dm_live_store *store, const char *name,
		       struct dm_live_bitmap *bitmap)
{
	struct dm_live_store_bitmap *found = dm_live_store_find(store, name);
	struct dm_live_store_bitmap copy;

	if (!found)
		return -ENOENT;
	copy = *found;
	copy.bitmap = bitmap;
	return dm_live_store_read_bits(store, &copy, false);
}
EXPORT_SYMBOL_GPL(dm_live_store_load);

static int write_one(struct dm_live_store *store, void *context)
{
	u32 i;

	for (i = 0; i < store->header.nr_bitmaps; i++)
		if (store->bitmaps[i].bitmap == context)
			return dm_live_store_write_bitmap(store,
							  &store->bitmaps[i]);
	return -ENOENT;
}

int dm_live_store_write(struct dm_live_store *store,
			struct dm_live_bitmap *bitmap)
{
	return run_job(store, write_one, bitmap);
}
EXPORT_SYMBOL_GPL(dm_live_store_write);
